"""Explains an answer by asking the model file that gave it about changed images."""
