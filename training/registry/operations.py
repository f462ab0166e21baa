"""What the ``models`` command does to the versions in a repository, one function a word.

Each gives an :class:`Answer`, in plain values and in lines for people, or raises one line. Runs
with what serving needs: no Keras, no TensorFlow, no onnx.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from service.models.repository import NoChampion, Repository, RepositoryError
from training.cli import tables
from training.data.loading import load
from training.durable_files import STAGING_PREFIX, sync
from training.errors import TrainingError
from training.export.verify import answers, check
from training.measure.card import accuracy, measured_on, part
from training.measure.compare import compare
from training.network import checkpoint, interrupted_runs
from training.registry import journal, promote
from training.registry.publish import locked


class VersionsError(TrainingError):
    """What was asked for cannot be done; one line says why."""


class Answer(NamedTuple):
    """What a word came to: ``report`` has JSON's types, ``lines`` say the same to people."""

    report: Mapping[str, Any]
    lines: Sequence[str]
    damage: str | None = None
    """What was found broken on the way, where the rest could be answered."""


def listed(repository: Repository) -> Answer:
    """Lists the versions, a damaged one with what is wrong, and what stopped runs keep."""
    damage = champion = None
    try:
        champion = repository.champion()
    except NoChampion:
        pass
    except RepositoryError as error:
        damage = str(error)
    rows = [_row(repository, version, champion) for version in repository.versions()]
    name = None if champion is None else str(champion)
    runs = interrupted_runs.kept(checkpoint.place(repository.root))
    report = {"champion": name, "versions": rows, "stopped": [run.as_dict() for run in runs]}
    lines = tables.versions(rows)
    return Answer(report, [*lines, interrupted_runs.told(runs)] if runs else lines, damage)


def show(repository: Repository, version: int) -> Answer:
    """Shows a version's card."""
    card = repository.card(version)
    return Answer(card, tables.card(card))


def verify(repository: Repository, version: int, data: Path | None) -> Answer:
    """Proves a version again: its hash, its ends, its batches, its accuracy on the test images."""
    card = repository.card(version)
    model = repository.read_model(version)
    dataset = load(data)
    digits = check(model, dataset.test_images).argmax(axis=1)
    right = int((digits == dataset.test_labels).sum())
    count = len(digits)
    told, told_count = accuracy(card), part(card, "test").get("count")
    same = told_count == count and told is not None and round(told * count) == right
    if not same and measured_on(card) in ({}, measured_on({"data": {"files": dataset.hashes}})):
        raise VersionsError(
            f"version {version}: test accuracy is {right / count} on {count} images, its card says "
            f"{told} on {told_count}"
        )
    report = {
        "version": str(version),
        "passed": True,
        "sha256": card["sha256"],
        "test": {"count": count, "accuracy": right / count, "as_in_card": same},
    }
    compared = "as in its card" if same else "its card's is of other test images (see --data)"
    lines = [
        f"SHA-256   {card['sha256']}, as in its card",
        "serves    image uint8 [batch, 28, 28] -> probabilities float32 [batch, 10]",
        "batches   a row alone is the same row in a batch",
        f"accuracy  {right} of {count} right, {right / count:.4f}; {compared}",
    ]
    if isinstance(parent := part(card, "verification", "parent").get("accuracy"), float):
        lines.append(f"weights   int8, made of a float32 file whose accuracy was {parent:.4f}")
    return Answer(report, [*lines, f"version {version} is sound"])


def promote_past_gate(
    repository: Repository, version: int, tolerance: float, *, force: bool
) -> Answer:
    """Makes a version champion, past the gate."""
    decision = promote.promote_past_gate(
        repository.root, version, tolerance=tolerance, force=force, command="models promote"
    )
    if not decision.promoted:
        raise VersionsError(
            f"version {version} was not promoted: {decision.reason} "
            "(--force promotes it all the same)"
        )
    report = {"champion": str(version), "reason": decision.reason}
    return Answer(report, [f"version {version} is champion: {decision.reason}"])


def rollback(repository: Repository, steps: int) -> Answer:
    """Makes the champion before champion again, or the one so many steps before."""
    with locked(repository.root):
        champion = repository.champion()
        history = journal.champions(repository.journal(), champion)
        earlier = [version for version in history[:-1] if repository.has(version)]
        if len(earlier) < steps:
            left = f"only {', '.join(map(str, earlier))}" if earlier else "none"
            raise VersionsError(f"champions left to go back to from {champion}: {left}")
        version = earlier[-steps]
        reason = f"{steps} back from {champion}"
        promote.promote(repository.root, version, reason=reason, command=journal.ROLLBACK)
    report = {"champion": str(version), "previous": str(champion)}
    return Answer(report, [f"version {version} is champion again, {reason}"])


def diff(repository: Repository, version: int, other: int, data: Path | None) -> Answer:
    """Compares two versions on the same test images."""
    dataset = load(data)
    first, second = (
        answers(repository.read_model(number), dataset.test_images).argmax(axis=1)
        for number in (version, other)
    )
    comparison = compare(first, second, dataset.test_labels)
    names = {"first": str(version), "second": str(other)}
    lines = tables.comparison(comparison, version, other)
    return Answer({**names, **comparison.as_dict()}, lines)


def prune(repository: Repository, keep: int) -> Answer:
    """Removes all but the newest versions and the champion."""
    with locked(repository.root):
        champion = repository.champion()
        kept = {champion, *repository.versions()[-keep:]}
        removed = [version for version in repository.versions() if version not in kept]
        for version in removed:
            _remove(repository.path(version))
    told = f"removed {', '.join(map(str, removed))}" if removed else "nothing to remove"
    report = {"removed": list(map(str, removed)), "kept": list(map(str, repository.versions()))}
    return Answer(report, [f"{told}; kept {', '.join(report['kept'])}"])


def prune_checkpoints(root: Path) -> Answer:
    """Removes what runs that were stopped keep under ``root`` to go on from."""
    removed = interrupted_runs.remove(root)
    count = "1 checkpoint" if len(removed) == 1 else f"{len(removed)} checkpoints"
    text = (
        f"removed {count}, {interrupted_runs.mebibytes(removed)},"
        if removed
        else "nothing to remove"
    )
    return Answer({"removed": [run.as_dict() for run in removed]}, [f"{text} in {root}"])


def _remove(folder: Path) -> None:
    """Takes a version away in one step for every reader, then deletes its files."""
    hidden = folder.with_name(f"{STAGING_PREFIX}{folder.name}-{secrets.token_hex(8)}")
    try:
        folder.rename(hidden)
        sync(folder.parent)
        shutil.rmtree(hidden)
    except OSError as error:
        raise VersionsError(f"{folder} cannot be removed: {error.strerror}") from error


def _row(repository: Repository, version: int, champion: int | None) -> dict[str, Any]:
    row: dict[str, Any] = {"version": str(version), "champion": version == champion}
    try:
        card = repository.card(version)
    except RepositoryError as error:
        return {**row, "error": str(error)}
    return {
        **row,
        "created": card.get("created"),
        "architecture": card.get("architecture"),
        "weights": _weights(card),
        "accuracy": accuracy(card),
        "size_bytes": card.get("size_bytes"),
        "latency_ms": part(card, "verification", "milliseconds_per_run").get("1"),
    }


def _weights(card: Mapping[str, Any]) -> str | None:
    """The form of the convolutions, which need not be the one asked for; None of what came here."""
    if not part(card, "settings"):
        return None
    return "int8" if part(card, "verification", "parent") else "float32"
