"""Convert a picture file of a digit to the 28x28 image that the model reads.

load.py decodes the file, with sanitise.py and grey.py. pipeline.py runs the steps after it: it
tries each reading of the background that threshold.py offers; ruled_lines.py, components.py,
frames.py and locate.py find the digit in each; normalise.py brings it into MNIST's form. preview.py
shows the result to a caller.
"""
