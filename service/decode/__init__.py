"""Decodes request bodies into ``uint8`` images: pure functions without HTTP and without files.

A body may be hostile. Every function here returns its result or raises a fault of
:mod:`service.errors`: Malformed for bytes that break their format, Invalid for values that are not
images, TooLarge for more than a limit. It allocates memory in proportion to the bytes that arrived,
whatever size a header declares.
"""
