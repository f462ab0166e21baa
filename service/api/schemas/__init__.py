"""The wire shapes for OpenAPI. No request is checked with them: the decoders check it, faster."""
