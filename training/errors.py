"""The one kind of failure that ``train`` explains to its user instead of showing a traceback."""

from __future__ import annotations


class TrainingError(Exception):
    """A run that ends here. Its text is one line that says what is wrong, and where."""
