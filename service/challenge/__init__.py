"""Challenges the champion in use: shadow, canary, and a verdict from labelled disagreements."""
