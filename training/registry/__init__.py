"""The model repository: publish, gate, promote, journal."""
