"""Loads labelled digits, augments them, and draws printed digits, handwriting and non-digits."""
