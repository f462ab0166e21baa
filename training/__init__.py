"""From labelled digits to a published model: data, fit, evaluate, export, verify, publish.

One module a step; ``training.run`` takes them in that order and is the place to begin
reading. Whatever the service also needs (file formats, scores, the runtime) is imported from
``service``, so that what is measured here is what serves there.
"""

from __future__ import annotations

import os

# Read by the libraries once, at their import, which happens later and only where needed.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
