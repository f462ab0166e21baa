"""The versions of the model: reads, checks, loads and follows them."""
