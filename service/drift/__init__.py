"""Notices when the answers in use are no longer those that a version gave on held-out digits."""
