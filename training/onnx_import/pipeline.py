"""From a stranger's file to a proved model of the contract's form, in visible steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto

from service.types import Images, Labels
from training.data.loading import Dataset
from training.export.convert import IR_VERSION
from training.onnx_import import AdoptError, detect, printable, simplify
from training.onnx_import.graphs import opset
from training.onnx_import.layouts import Layout, layouts
from training.onnx_import.options import Wishes
from training.onnx_import.original import Stranger
from training.onnx_import.read import Source, read
from training.onnx_import.verify import Proof, prove

# Which training images are measured on.
SEED = 0


@dataclass(frozen=True, slots=True)
class Adopted:
    """The model file's bytes, and what the card says of it, in JSON's types."""

    model: bytes
    facts: dict[str, Any]


def adopt(path: Path, wishes: Wishes, dataset: Dataset, enter: Callable[[str], None]) -> Adopted:
    """Takes in the model at ``path``; ``enter`` is called with the name of each step.

    Raises:
        AdoptError: the file cannot be taken in.
    """
    enter("load")
    source = read(path)
    came, cuts = _usable(simplify.plain(source.model), wishes.output)
    stranger, fitting = _load(came, source, wishes)

    enter("measure")
    forms = detect.guess(stranger, fitting, *samples(dataset), wishes)

    enter("prove")
    best = forms[0]
    proof = prove(came, cuts[best.output], best, dataset)
    facts = _facts(source, cuts[best.output], forms, proof)
    data_facts = {"files": dataset.hashes, "test_images": len(dataset.test_images)}
    return Adopted(proof.model, {**facts, "data": data_facts})


def samples(dataset: Dataset) -> tuple[Images, Labels]:
    """Training images to measure on, (n, 28, 28), each moved by a pixel, and their labels."""
    order = np.random.default_rng(SEED).permutation(len(dataset.train_images))[: detect.SECOND]
    return detect.moved(dataset.train_images[order]), dataset.train_labels[order]


def _usable(model: ModelProto, wished: str | None) -> tuple[ModelProto, dict[str, ModelProto]]:
    """The model with the outputs that can be taken in, and the model cut to each of them.

    Raises:
        AdoptError: none can.
    """
    names = [value.name for value in model.graph.output]
    if wished is not None and wished not in names:
        raise AdoptError(f"it has no output {wished!r}; it has {', '.join(names)}")
    cuts, failures = {}, []
    for name in names if wished is None else [wished]:
        try:
            cuts[name] = simplify.cut(model, name)
        except AdoptError as error:
            failures.append(error)
    if not cuts:
        raise failures[0]
    return simplify.only(model, cuts), cuts


def _load(came: ModelProto, source: Source, wishes: Wishes) -> tuple[Stranger, list[Layout]]:
    """Loads the model and runs it for the first time: gives the layouts that it takes."""
    found = detect.wished(layouts(came), wishes)
    numbers = f"the file: opset {opset(source.model)}, IR version {source.model.ir_version}"
    try:
        stranger = Stranger(came)
    except AdoptError as error:
        # The runtime lacks many kernels for float64, and some for float16.
        try:
            stranger = Stranger(simplify.widened(came))
        except AdoptError:
            raise AdoptError(f"{error} ({numbers})") from error
    return stranger, detect.running(stranger, found)


def _facts(
    source: Source, cut: ModelProto, forms: list[detect.Form], proof: Proof
) -> dict[str, Any]:
    """What the card says of the model, in the card's own parts."""
    model = source.model
    imported = {
        "file": printable(source.name),
        "sha256": source.sha256,
        "size_bytes": source.size_bytes,
        "external_data": {printable(name): digest for name, digest in source.data.items()},
        "producer": printable(f"{model.producer_name} {model.producer_version}".strip()),
        "opset": opset(model),
        "ir_version": model.ir_version,
        "found": forms[0].as_dict(),
        "one_at_a_time": proof.alone,
        "original": proof.original,
        "measured": [form.as_dict() for form in forms],
    }
    return {
        "parameters": simplify.parameters(cut.graph),
        "opset": opset(cut),
        "ir_version": max(IR_VERSION, cut.ir_version),
        "imported": imported,
        "test": proof.test.as_dict(),
        "verification": proof.verification.as_dict(),
    }
