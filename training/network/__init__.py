"""The network and its fit."""
