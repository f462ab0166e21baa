"""Convert a picture file of a digit to the 28x28 image that the model reads.

load.py decodes the file, with sanitise.py. pipeline.py runs the steps after it: threshold.py
separates ink from background; components.py, frames.py and locate.py find the digit; normalise.py
converts it to MNIST's form.
"""
