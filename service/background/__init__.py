"""Threads for what would hold up the event loop."""
