"""Runs of the model: many requests become one batch."""
