"""Builds the network, fits it and keeps checkpoints."""
