"""Explains an answer by asking the model file that gave it about changed images.

Each question is a generator: it yields images, is sent their probabilities, and returns its result.
So the same code runs in the service, in the queue of all requests, and in training.
"""
