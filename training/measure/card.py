"""Describes a version: who made it, when, from which data, how, and every figure measured.

``card.json``, one JSON object; versions are strings, hashes hexadecimal SHA-256, times ISO 8601 in
UTC, durations seconds, figures that do not exist null:

    name           mnist
    version        "3"; added by publishing, as are the next two
    sha256         of model.onnx
    size_bytes     of model.onnx
    created        when the card was written
    creator        {package: version} of what made it, with python
    architecture   mlp, cnn, valid_cnn; imported
    parameters     how many weights the network has
    opset, ir_version   of model.onnx
    data           {files: {name: sha256}, training_images, validation_images, test_images}
    settings       every knob of the run, so that it can be run again
    training       {recipe, epochs: [per epoch], clean_epochs, best_epoch, kept: [{epoch, share}],
                   seconds, cpu_seconds, run, temperature}; see network.history, and for the last,
                   what the logits were divided by, training.network.calibrate
    validation     {count, accuracy, loss} on what was held out of the training images, or null
    test           what POST /evaluate would answer on the test images; of MNIST's also
                   accuracy_without_label_errors (measure.label_errors); reliability: the bins of
                   the calibration error (service.answer.scores.ReliabilityBin)
    robustness     {corruption: accuracy} on all test images, damaged, and on printed digits
    doubt          where doubt begins and what it catches (measure.robustness.doubt); the service
                   reads its score and threshold. Of an imported version see onnx_import.pipeline
    verification   the figures of the proof of model.onnx (export.verify.Verification); of one in
                   8 bits, parent: the proof of the float32 file it is made of
    imported       of a version that came from elsewhere only: {file, sha256, size_bytes,
                   external_data, producer, opset, ir_version} of the file as it came; {found}: the
                   form that it wants its images in; {measured}: how well it read training images
                   in each form that was tried; {original}: the comparison with the file as it came
    promotion      {promoted, reason, previous}: the gate's decision when it was published; who
                   was champion since is in the journal

The same story, shortened, is in the ``metadata_props`` of model.onnx, so that a file that has left
the repository still tells where it comes from.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from service.models.repository import NAME
from training.timestamps import now

CREATORS = ("mnist-serve", "keras", "tensorflow", "tf2onnx", "onnx", "onnxruntime", "numpy")
STORY = (
    *("name", "created", "creator", "architecture", "parameters", "data", "settings"),
    *("training", "validation", "test", "verification", "imported"),
    *("robustness", "doubt"),
)
# What the story leaves to the card: long lists, and wall times that differ from run to run.
LEFT_OUT = {
    *("epochs", "per_class", "confusion_matrix", "mistakes", "milliseconds_per_run"),
    *("measured", "reliability", "kinds"),
}


def describe(
    *,
    architecture: str,
    parameters: int,
    opset: int,
    ir_version: int,
    data: Mapping[str, Any],
    settings: Mapping[str, Any],
    training: Mapping[str, Any],
    validation: Mapping[str, Any] | None,
    test: Mapping[str, Any],
    verification: Mapping[str, Any],
    robustness: Mapping[str, float] | None = None,
    doubt: Mapping[str, Any] | None = None,
    imported: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The card of a version about to be published; the module's text says what each part is."""
    some = {"robustness": robustness, "doubt": doubt, "imported": imported}
    card = {
        "name": NAME,
        "created": now(),
        "creator": _creator(),
        "architecture": architecture,
        "parameters": parameters,
        "opset": opset,
        "ir_version": ir_version,
        "data": data,
        "settings": settings,
        "training": training,
        "validation": validation,
        "test": test,
        "verification": verification,
        **{name: value for name, value in some.items() if value is not None},
    }
    plain: dict[str, Any] = _plain(card)
    return plain


def story(card: Mapping[str, Any]) -> dict[str, str]:
    """The card as metadata for the model file: one string a part, JSON where it has parts."""
    return {name: _text(card[name]) for name in STORY if card.get(name) is not None}


def part(card: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """The part of a card, or of any JSON object, under ``names``; empty where there is no such."""
    for name in names:
        inner = card.get(name)
        card = inner if isinstance(inner, Mapping) else {}
    return card


def accuracy(card: Mapping[str, Any]) -> float | None:
    """The test accuracy in a card, 0 to 1, or None where it has none."""
    value = part(card, "test").get("accuracy")
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1 else None


def measured_on(card: Mapping[str, Any]) -> dict[str, Any]:
    """The hashes of the files with the test images, by name; empty where the card has none."""
    files = part(card, "data", "files")
    return {name: digest for name, digest in files.items() if "train" not in name}


def _creator() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in CREATORS:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _plain(value: Any) -> Any:
    """The value with what JSON has no form for made plain: NaN and infinities become null."""
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
    """What the story takes, by name and kind: the setting "epochs" is a number and stays."""
    if not isinstance(value, Mapping):
        return value
    return {
        name: _kept(item)
        for name, item in value.items()
        if name not in LEFT_OUT or not isinstance(item, list | tuple | Mapping)
    }
