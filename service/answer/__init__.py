"""Builds answers from probabilities."""
