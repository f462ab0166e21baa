"""The wire shapes, as OpenAPI shows them.

They describe and are not run on requests: the decoders check what arrives, vectorised, and say
what is wrong with which image.
"""
