"""Probabilities become answers."""
