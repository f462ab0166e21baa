"""The command lines of ``serve`` and ``predict``, and what all commands share."""
