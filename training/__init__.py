"""Trains a digit classifier and publishes it as a version of the model repository.

Start reading at ``training.run``, which calls one module for each step. Training imports from
``service`` what both need, so that the code that measures a model here is the code that serves it.
"""

import os

# Keras and TensorFlow read these once, when they are imported, which happens later and on demand.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
