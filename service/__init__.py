"""The digit-recognition service: http -> decode -> batch -> runtime -> answer, one file a step.

Imports neither TensorFlow nor the ``training`` package.

>>> from service import Classifier
>>> Classifier().predict("seven.png")[0].digit
7
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from service.classifier import Classifier, Prediction

__version__ = "0.1.0"
__all__ = ["Classifier", "Prediction", "__version__"]


def __getattr__(name: str) -> Any:
    """Imports the classifier when it is first used: ``import service`` loads no library."""
    if name not in {"Classifier", "Prediction"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from service import classifier

    return getattr(classifier, name)
