"""The commands ``train`` and ``models``."""
