"""Decodes request bodies into ``uint8`` images: pure functions without HTTP and without files.

A body may be hostile. Every function returns or raises a fault of :mod:`service.errors`, and takes
memory in proportion to the bytes that arrived, whatever size a header declares.
"""
