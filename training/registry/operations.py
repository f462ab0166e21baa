"""What the ``models`` command does to a repository: one function a subcommand.

Each returns a report of JSON values. None needs Keras, TensorFlow or onnx.
"""

import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from service.models.repository import NoChampion, Repository, RepositoryError
from training.data.loading import load
from training.durable_files import STAGING_PREFIX, sync
from training.errors import TrainingError
from training.export.verify import answers, check
from training.measure.card import accuracy, measured_on, part
from training.measure.compare import compare
from training.registry import journal
from training.registry.challenge import present
from training.registry.promote import promote
from training.registry.publish import locked

Report = dict[str, Any]


def listed(repository: Repository) -> Report:
    """Returns champion, challenger and a row a version, which has an ``error`` if it is damaged."""
    champion, challenger = None, present(repository)
    with suppress(NoChampion):
        champion = repository.champion()
    return {
        "champion": None if champion is None else str(champion),
        "challenger": challenger and challenger.version,
        "share": challenger and challenger.share,
        "versions": [_row(repository, version, champion) for version in repository.versions()],
    }


def verify(repository: Repository, version: int, data: Path | None) -> Report:
    """Checks a version again: hash, interface, batches, accuracy. Raises if a check fails."""
    (card, model), dataset = repository.read(version), load(data)
    digits = check(model, dataset.test_images).argmax(axis=1)
    right, count = int((digits == dataset.test_labels).sum()), len(digits)
    claimed, claimed_count = accuracy(card), part(card, "test").get("count")
    same = claimed_count == count and claimed is not None and round(claimed * count) == right
    if not same and measured_on(card) in ({}, measured_on({"data": {"files": dataset.hashes}})):
        found, said = f"{right / count} on {count} images", f"{claimed} on {claimed_count}"
        raise TrainingError(f"version {version}: test accuracy is {found}, its card says {said}")
    return {
        "version": str(version),
        "passed": True,
        "sha256": card["sha256"],
        "test": {"count": count, "accuracy": right / count, "as_in_card": same},
    }


def rollback(repository: Repository) -> Report:
    """Makes the previous champion champion again; skips removed versions."""
    with locked(repository.root):
        champion = repository.champion()
        history = journal.champions(repository.journal(), champion)
        earlier = [version for version in history[:-1] if repository.has(version)]
        if not earlier:
            raise TrainingError(f"there is no champion to go back to from version {champion}")
        reason, command = f"back from {champion}", journal.ROLLBACK
        reason = promote(repository.root, earlier[-1], reason=reason, command=command)
    return {"champion": str(earlier[-1]), "previous": str(champion), "reason": reason}


def diff(repository: Repository, version: int, other: int, data: Path | None) -> Report:
    """Compares two versions on the same test images."""
    dataset = load(data)
    first, second = (
        answers(repository.read_model(number), dataset.test_images).argmax(axis=1)
        for number in (version, other)
    )
    numbers = {"first": str(version), "second": str(other)}
    return numbers | compare(first, second, dataset.test_labels)


def prune(repository: Repository, keep: int) -> Report:
    """Removes all versions but the champion, its challenger and the newest ``keep``."""
    with locked(repository.root):
        kept = {repository.champion(), *repository.versions()[-keep:]}
        if challenger := repository.challenger():
            kept.add(int(challenger.version))
        removed = [version for version in repository.versions() if version not in kept]
        for version in removed:
            folder = repository.path(version)
            hidden = folder.with_name(f"{STAGING_PREFIX}{version}-{secrets.token_hex(8)}")
            try:
                folder.rename(hidden)  # hides it from every reader in one step
                sync(folder.parent)
                shutil.rmtree(hidden)
            except OSError as error:
                raise TrainingError(f"{folder} cannot be removed: {error.strerror}") from error
    return {"removed": list(map(str, removed)), "kept": list(map(str, repository.versions()))}


def _row(repository: Repository, version: int, champion: int | None) -> Report:
    row: Report = {"version": str(version), "champion": version == champion}
    try:
        card = repository.card(version)
    except RepositoryError as error:
        return {**row, "error": str(error)}
    row |= {name: card.get(name) for name in ("created", "architecture", "size_bytes")}
    latency = part(card, "verification", "milliseconds_per_run").get("1")
    return {**row, "accuracy": accuracy(card), "latency_ms": latency}
