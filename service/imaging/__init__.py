"""Convert a picture file of a digit to the 28x28 image that the model reads."""
