"""Publishes a digit classifier from elsewhere as a version; ``models import`` in steps.

What the stranger's file says is read, measured and proved in ``training.onnx_import``; what comes
back from there is a model of the contract's form. It never becomes champion here: that is a word
of its own.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from service.models.repository import Repository
from training.measure import card
from training.onnx_import.options import Wishes
from training.onnx_import.sandbox import adopt_apart
from training.registry.operations import Report
from training.registry.promote import release
from training.registry.publish import staging

ARCHITECTURE = "imported"


def import_file(repository: Repository, path: Path, wishes: Wishes, data: Path | None) -> Report:
    """Takes the model at ``path`` in and publishes it as a new version.

    Raises:
        TrainingError: it cannot be taken in or published; one line says why.
    """
    model, facts = adopt_apart(path, wishes, data)
    story = card.describe(
        architecture=ARCHITECTURE,
        parameters=facts["parameters"],
        opset=facts["opset"],
        ir_version=facts["ir_version"],
        data=facts["data"],
        settings={name: value for name, value in asdict(wishes).items() if value is not None},
        training={},
        validation=None,
        test=facts["test"],
        verification=facts["verification"],
        robustness=facts.get("robustness"),
        doubt=facts.get("doubt"),
        imported=facts["imported"],
    )
    from training.export import convert

    with staging(repository.root) as folder:
        staged = folder / "model.onnx"
        staged.write_bytes(model)
        convert.stamp(staged, card.story(story))
        version, _ = release(folder, repository.root, story, wanted=False)
    return {"version": str(version), **story}
