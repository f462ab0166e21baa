"""Exports a Keras network to ONNX, quantises it and verifies the file."""
