"""Runs ``models import``: publishes an ONNX model from elsewhere as a version.

``training.onnx_import`` reads, measures and verifies the file, and returns a model of the
contract's form. The import never promotes a version.
"""

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from service.models.repository import Repository
from training.cli import tables
from training.measure import card
from training.measure.measure import worst_kinds
from training.onnx_import.forms import Options
from training.onnx_import.sandbox import import_in_child
from training.progress import Progress
from training.registry.promote import release
from training.registry.publish import staging

STEPS = {
    "load": "loads the model",
    "detect": "measures which layout, scale and ink the model expects",
    "verify": "compares the wrapped model with the original one",
    "measure": "measures damaged digits and non-digits",
}
MOST_FORMS = 5  # that the summary lists, best first


def import_file(
    repository: Repository, path: Path, options: Options, data: Path | None
) -> dict[str, Any]:
    """Imports the model at ``path`` and publishes it; returns the version's card."""
    with Steps(sys.stderr) as steps:
        model, facts = import_in_child(path, options, data, steps.show)
    settings = {name: value for name, value in asdict(options).items() if value is not None}
    story = card.describe(
        architecture="imported", settings=settings, training={}, validation=None, **facts
    )
    from training.export import convert

    with staging(repository.root) as folder:
        staged = folder / "model.onnx"
        staged.write_bytes(model)
        convert.stamp(staged, card.story(story))
        version, decision = release(folder, repository.root, story)
    return {"version": str(version), **story, "promotion": decision.as_dict()}


class Steps(Progress):
    """Shows on a terminal which step runs, how far it is, and how long each one took."""

    _step, _started = "", 0.0

    def __exit__(self, *raised: object) -> None:
        self.erase()
        if raised[0] is None:
            self._end_step()

    def show(self, step: str, done: float) -> None:
        """Shows that the fraction ``done`` of a step is done."""
        if step != self._step:
            self._end_step()
            self._step, self._started = step, time.monotonic()
            self.note(step, STEPS[step])
        else:
            self.bar(step, round(1000 * done), 1000, STEPS[step])

    def _end_step(self) -> None:
        if self._step and self._stream.isatty():
            seconds = time.monotonic() - self._started
            self.stage(self._step, f"{STEPS[self._step]}: {seconds:.1f} s")


def summary(report: tables.Report) -> list[str]:
    """Returns what the import detected, and how accurate the version is."""
    part, proof = report["imported"], report["verification"]
    found, measured = part["found"], part["measured"]
    keys = ("layout", "scale", "ink", "output", "answer")
    table: list[tuple[str, ...]] = [(*map(str.upper, keys), "ACCURACY", "LOSS", "IMAGES")]
    for form in measured[:MOST_FORMS]:
        figures = (f"{form['accuracy']:.4f}", f"{form['loss']:.4f}", str(form["images"]))
        table.append((*(form[key] for key in keys), *figures))
    more = len(measured) - MOST_FORMS
    kinds = "not measured on damaged digits and non-digits: the model is too slow"
    if "doubt" in report:
        kinds = worst_kinds(report["robustness"], report["doubt"])
    exporter = part["producer"] or "an unknown exporter"
    output = f"output {found['output']}: {found['answer']}"
    within = f"within {proof['largest_difference']:.1g} of the original model's"
    return [
        f"{part['file']}: from {exporter}, opset {part['opset']}, {report['parameters']:,} weights",
        "measured on training images, each shifted by a pixel:",
        *(f"  {line}" for line in tables.columns(table)),
        *([f"  and {more} more (--json lists all)"] if more > 0 else []),
        f"chosen: {found['layout']}, {found['scale']}, {found['ink']}; {output}",
        f"verified on {proof['images']:,} images: probabilities {within}",
        f"Test accuracy: {report['test']['accuracy']:.4f}",
        kinds,
    ]
