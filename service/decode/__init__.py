"""Body bytes become ``uint8`` images: one module a format, pure functions, no HTTP and no files.

Strangers send these bytes. Every function here returns an array or raises a
:class:`service.errors.Fault`, and allocates in proportion to the bytes that arrived, never to what
a header promises.
"""
