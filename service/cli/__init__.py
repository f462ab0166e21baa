"""The commands beside ``serve``."""
