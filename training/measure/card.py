"""Writes a version's card: its origin, its data, its settings and every measured figure.

``card.json`` is one JSON object. Versions are strings, hashes hexadecimal SHA-256, times ISO 8601
in UTC, durations seconds, missing figures null:

    name           mnist
    version        "3"; publishing adds it and the next two
    sha256         of model.onnx
    size_bytes     of model.onnx
    created        time of writing
    creator        {package: version}, with python
    architecture   mlp, cnn, valid_cnn; imported
    parameters     number of weights
    opset, ir_version   of model.onnx
    data           {files: {name: sha256}, training_images, validation_images, test_images}
    settings       every setting of the run, so that it can be repeated
    training       {recipe, epochs: [per epoch], clean_epochs, best_epoch, kept: [{epoch, share}],
                   seconds, cpu_seconds, run, temperature}; see network.history, and for the
                   temperature, which divides the logits, network.evaluate
    validation     {count, accuracy, loss} on the validation images, or null
    test           the answer of POST /evaluate on the test images; for MNIST also
                   accuracy_without_label_errors (measure.label_errors); reliability: the bins of
                   the calibration error (service.answer.scores.ReliabilityBin)
    robustness     {corruption: accuracy} on damaged test images and on printed digits
    doubt          the threshold of doubt and what it catches (measure.robustness.doubt); the
                   service reads score and threshold. For imports see onnx_import.pipeline
    reference      its answers on held-out digits, counted (service.drift.reference), with which
                   GET /drift compares those in use; absent from old cards
    reasons        how faithful its reasons are (measure.faithfulness); absent from old cards
    verification   figures of the verification of model.onnx (export.verify.Verification); for
                   int8, parent: those of the float32 file that it was made from
    imported       only for an imported version: {file, sha256, size_bytes, external_data,
                   producer, opset, ir_version} of the original file; {found}: the format of its
                   input; {measured}: its accuracy on training images in each format that was
                   tried; {original}: the comparison with the original file
    promotion      {promoted, reason, previous}: the gate's decision at publication; the journal
                   has the champions since

A short form is in the ``metadata_props`` of model.onnx, so that a copy of the file still says where
it comes from.
"""

import json
import math
import platform
from collections.abc import Iterator, Mapping
from typing import Any

from service.models.repository import NAME
from training.provenance import installed, now

CREATORS = ("mnist-serve", "keras", "tensorflow", "tf2onnx", "onnx", "onnxruntime", "numpy")
PARTS = (
    *("architecture", "parameters", "opset", "ir_version", "data", "settings", "training"),
    *("validation", "test", "verification", "robustness", "doubt", "reasons"),
    *("reference", "imported"),
)
STORY = (
    *("name", "created", "creator", "architecture", "parameters", "data", "settings"),
    *("training", "validation", "test", "verification", "imported"),
    *("robustness", "doubt"),
)
# Only in the card: long lists, and wall times, which differ from run to run.
LEFT_OUT = {
    *("epochs", "per_class", "confusion_matrix", "mistakes", "milliseconds_per_run"),
    *("measured", "reliability", "kinds"),
}


def describe(**parts: Any) -> dict[str, Any]:
    """Returns the card of a version to publish, from the parts in :data:`PARTS`."""
    creator = {"python": platform.python_version(), **installed(CREATORS)}
    ordered = {name: parts[name] for name in sorted(parts, key=PARTS.index)}
    plain: dict[str, Any] = _plain({"name": NAME, "created": now(), "creator": creator, **ordered})
    return plain


def story(card: Mapping[str, Any]) -> dict[str, str]:
    """Returns the short form for the model file: a string for each part, JSON for objects."""
    return {name: _text(card[name]) for name in STORY if card.get(name) is not None}


def part(card: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """Returns the object under ``names`` in a card or any JSON object; empty if there is none."""
    for name in names:
        inner = card.get(name)
        card = inner if isinstance(inner, Mapping) else {}
    return card


def flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yields every value that is no object, with its path in the card, such as ``test.loss``."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from flat(item, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


def accuracy(card: Mapping[str, Any]) -> float | None:
    """Returns the test accuracy in a card, 0 to 1; None if it has none."""
    value = part(card, "test").get("accuracy")
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1 else None


def measured_on(card: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the hashes of the files with the test images by name; empty if there are none."""
    files = part(card, "data", "files")
    return {name: digest for name, digest in files.items() if "train" not in name}


def _plain(value: Any) -> Any:
    """Converts a value to JSON types; NaN and infinities become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: Any) -> str:
    if not isinstance(value, Mapping):
        return str(value)
    return json.dumps(_kept(value), separators=(",", ":"))


def _kept(value: Any) -> Any:
    """Drops what only the card has, by name and type: the setting "epochs", a number, stays."""
    if not isinstance(value, Mapping):
        return value
    return {
        name: _kept(item)
        for name, item in value.items()
        if name not in LEFT_OUT or not isinstance(item, list | tuple | Mapping)
    }
