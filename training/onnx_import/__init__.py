"""Takes in an ONNX digit classifier from elsewhere, in the steps of the files here.

    read      file and external data -> one self-contained model; nothing else is opened
    tidy      functions inlined, one output cut out, only standard operators, float32
    guess     which shape, scale and ink the model wants, by measuring on labelled images
    wrap      uint8 images in, probabilities out, any batch, in standard operators
    prove     the wrapped file against the file as it came, through ``service.inference.runtime``
    adopt     the steps above, one after the other
    fare      measured on damaged digits and on what is no digit, as a trained version is
    sandbox   all of it in a process of its own, with limits on time and memory

``layouts`` and ``pixels`` hold the shapes and the scales, ``answers`` the forms of the output,
``wishes`` the words for all of them; ``graphs`` walks through graphs, ``unfix`` frees a fixed
batch, ``stranger`` runs the file as it came, ``scikit`` spells scikit-learn's operators out.
"""

from __future__ import annotations

from training.errors import TrainingError


class AdoptError(TrainingError):
    """The file cannot be taken in; one line says why."""

    def __init__(self, text: str) -> None:
        super().__init__(printable(text, 1000))


def printable(text: str, longest: int = 100) -> str:
    """A stranger's text on one line, without control characters, cut to a length."""
    cut = text if len(text) <= longest else f"{text[: longest - 3]}..."
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in cut)
