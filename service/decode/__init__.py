"""Decodes request bodies into ``uint8`` images: pure functions without HTTP and without files.

A body may be hostile. Every function here returns an array or raises a
:class:`service.errors.Fault`. It allocates memory in proportion to the bytes that arrived, whatever
size a header declares.
"""
