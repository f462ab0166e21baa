"""Exports a Keras network as an ONNX file that the service loads: uint8 images -> probabilities.

tf2onnx invents names for the output and the batch axis, and declares an operator set that no node
uses. This module repairs that.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx

from service.types import INPUT, OUTPUT
from training.errors import TrainingError, one_line

if TYPE_CHECKING:
    import keras

OPSET = 18
IR_VERSION = 8  # supported since ONNX Runtime 1.10
BATCH = "batch"
STANDARD = {"", "ai.onnx"}  # two spellings of one operator set


def export(model: keras.Model, path: Path) -> None:
    """Writes ``model`` to ``path``; TrainingError if it cannot be exported, else OSError."""
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        raw = Path(folder) / "keras.onnx"
        try:
            model(np.zeros((1, 28, 28), np.uint8))  # Keras exports only models that were called
            model.export(raw, format="onnx", opset_version=OPSET, verbose=False)
        except OSError:
            raise
        except Exception as error:  # the exporter raises many types
            raise TrainingError(f"Keras cannot export this network: {one_line(error)}") from error
        exported = onnx.load(raw)
    save(repair(exported), path)


def repair(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a copy with the service's names, a free batch axis and explicit versions."""
    repaired = deepcopy(model)
    graph = repaired.graph
    _rename(graph, graph.input[0].name, INPUT)
    _rename(graph, graph.output[0].name, OUTPUT)
    for end in (graph.input[0], graph.output[0]):
        end.type.tensor_type.shape.dim[0].dim_param = BATCH
    del graph.value_info[:]  # they have the old batch axis, and ONNX can infer them
    if foreign := {node.domain for node in graph.node} - STANDARD:
        raise TrainingError(f"operators outside the standard set: {', '.join(sorted(foreign))}")
    version = next(e.version for e in repaired.opset_import if e.domain in STANDARD)
    del repaired.opset_import[:]
    repaired.opset_import.append(onnx.helper.make_opsetid("", version))
    repaired.ir_version = IR_VERSION
    graph.name = "mnist"
    return repaired


def stamp(path: Path, story: Mapping[str, str]) -> None:
    """Writes ``story`` into the file's metadata; changes nothing that was verified."""
    model = onnx.load(path)
    onnx.helper.set_model_props(model, dict(sorted(story.items())))
    save(model, path)


def save(model: onnx.ModelProto, path: Path) -> None:
    """Writes a model that passes ONNX's full check. Raises :class:`TrainingError` if it fails."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise TrainingError(f"the exported file is malformed: {one_line(error)}") from error
    path.write_bytes(model.SerializeToString(deterministic=True))


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Renames a tensor in the whole graph, and any other tensor that already has the new name."""
    names = {old: new, new: f"{new}_inner"} if old != new else {}
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in [*graph.input, *graph.output, *graph.initializer]:
        value.name = names.get(value.name, value.name)
