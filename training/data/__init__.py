"""Labelled digits: load, vary, damage, draw."""
