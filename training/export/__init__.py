"""A Keras network becomes an ONNX file, and the file is verified."""
