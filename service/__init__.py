"""The digit-recognition service: http -> decode -> batch -> runtime -> answer, one file a step.

Imports neither TensorFlow nor the ``training`` package.
"""

__version__ = "0.1.0"
