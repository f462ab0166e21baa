"""Writes a version's card: its origin, its data, its settings and every measured figure.

docs/training.md describes each part. ``metadata_props`` of model.onnx has a short form.
"""

import json
import platform
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from service.models.repository import NAME
from training.network.checkpoint import installed

CREATORS = ("mnist-serve", "keras", "tensorflow", "tf2onnx", "onnx", "onnxruntime", "numpy")
# What the model file says of itself; the card has the other figures, epochs and mistakes too.
STORY = (
    *("name", "created", "creator", "architecture", "parameters", "data", "settings"),
    *("training", "validation", "test", "imported"),
)


def now() -> str:
    """Returns the present time in UTC, such as ``2026-11-24T12:00:00Z``."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def describe(**parts: Any) -> dict[str, Any]:
    """Returns the card of a version to publish, from its other parts; NaN becomes null."""
    creator = {"python": platform.python_version(), **installed(CREATORS)}
    card = {"name": NAME, "created": now(), "creator": creator, **parts}
    plain: dict[str, Any] = json.loads(json.dumps(card), parse_constant=lambda _: None)
    return plain


def story(card: Mapping[str, Any]) -> dict[str, str]:
    """Returns the short form for the model file: a string for each part, JSON for objects."""
    parts = {name: card[name] for name in STORY if card.get(name) is not None}
    for name in {"training", "test"} & set(parts):
        parts[name] = {key: told for key, told in parts[name].items() if not isinstance(told, list)}
    return {
        name: told if isinstance(told, str) else json.dumps(told, separators=(",", ":"))
        for name, told in parts.items()
    }


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
