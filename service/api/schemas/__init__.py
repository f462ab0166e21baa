"""The wire shapes for OpenAPI. No body is checked with them: the decoders check it, faster."""
