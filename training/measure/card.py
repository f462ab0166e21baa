"""Writes a version's card: its origin, its data, its settings and every measured figure.

docs/training.md describes each part. A short form is in the ``metadata_props`` of model.onnx, so
that a copy of the file still says where it comes from.
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
    *("reference", "feedback", "imported"),
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


def worst_kinds(robustness: Mapping[str, float], doubt: Mapping[str, Any]) -> str:
    """Names the least accurate kind of digits and the least caught kind of non-digits."""
    worst = min(robustness, key=robustness.__getitem__)
    caught = {name: kind["caught"] for name, kind in doubt["kinds"].items()}
    least = min(caught, key=caught.__getitem__)
    return (
        f"{len(robustness)} kinds of digits: least accurate {robustness[worst]:.4f} ({worst}); "
        f"{len(caught)} of non-digits: least caught {caught[least]:.3f} ({least}), "
        f"where {doubt['digits']['pass']:.4f} of digits pass"
    )


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
