"""Trains the seeds of one recipe and puts the one with the best validation loss before the gate."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from service.models.repository import Repository, RepositoryError
from training.config import Config, Options
from training.data.loading import load
from training.errors import TrainingError
from training.measure.card import part
from training.network.checkpoint import PACKAGES, installed
from training.progress import Progress
from training.registry.gate import Decision
from training.registry.promote import NOT_WANTED, promote_past_gate
from training.search.engines import Run, side_by_side

Found = tuple[float, int]  # the validation loss and the number of a version


def train_seeds(options: Options, words: Sequence[str], progress: Progress) -> tuple[int, Decision]:
    """Publishes a version for each seed that has none yet; returns the best and its promotion.

    ``words`` are the command line of one run. Raises TrainingError and RepositoryError.
    """
    if not options.config.validation_fraction:
        raise TrainingError("--seeds needs a validation_fraction above 0, to choose among the runs")
    files, repository = load(options.data).hashes, Repository(options.models)

    def train(seed: int, run: Run) -> Found:
        config, say = options.config.model_copy(update={"seed": seed}), f"seed {seed}"
        if (found := _find(repository, config, files)) is None:
            place = options.checkpoints / f"seed-{seed}"  # another seed's is not in its way
            more = ("--seed", seed, "--no-promote", "--resume", "--checkpoints", place)
            run([*words, *more], partial(progress.stage, say))
            found = _find(repository, config, files)
        if found is None:
            raise TrainingError(f"seed {seed}: its version is not in {repository.folder}")
        progress.stage(say, f"version {found[1]} has validation loss {found[0]:.4f}")
        return found

    _, best = min(side_by_side(train, options.seeds, options))
    with suppress(OSError):
        options.checkpoints.rmdir()  # succeeds if the folder is empty
    if not options.promote:
        return best, Decision(False, NOT_WANTED)
    force, command = options.force, "train --seeds"
    return best, promote_past_gate(options.models, best, options.data, force=force, command=command)


def _find(repository: Repository, config: Config, files: dict[str, str]) -> Found | None:
    wanted = (config.model_dump(mode="json"), files, installed(PACKAGES))
    for version in reversed(repository.versions()):
        with suppress(RepositoryError, KeyError):
            card = repository.card(version)
            packages = {name: card["creator"].get(name) for name in wanted[2]}
            if (part(card, "settings"), part(card, "data", "files"), packages) == wanted:
                return card["validation"]["loss"], version
    return None
