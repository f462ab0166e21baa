"""What is kept of use: captured answers, what people said about them, disagreements of versions."""
