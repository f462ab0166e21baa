"""Classifies many images at once: any number of rows, in parts that survive an interruption."""
