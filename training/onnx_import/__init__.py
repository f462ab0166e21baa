"""Imports an ONNX digit classifier that another library exported; ``pipeline`` has the steps."""
