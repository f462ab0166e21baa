"""Imports an ONNX digit classifier that another library exported, one file for each step.

    read      reads the file and its external data into one self-contained model
    simplify  inlines functions, keeps one input and float outputs, only standard operators
    detect    measures on labelled images which layout, scale and ink the model expects
    wrap      adds nodes: uint8 images in, probabilities out, any batch size
    pipeline  runs the steps above, compares the wrapped model with the original one on every test
              image, then measures damaged digits and non-digits
    sandbox   runs the pipeline in a child process with limits on time and memory

``forms`` defines what classifiers expect and return.
"""
