"""Runs the subcommands of ``models``: each returns a report for programs and lines for people."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import Any

from service.cli.parser import default_store
from service.models.repository import Repository, RepositoryError
from training.cli import tables
from training.config import Config
from training.errors import TrainingError
from training.feedback.field import collect
from training.measure import card
from training.registry import challenge, operations
from training.registry.promote import promote_past_gate, release
from training.registry.publish import staging

Answer = tuple[tables.Report, list[str]]


def answer(options: Namespace) -> Answer:
    """Returns JSON values, and lines that say the same in words.

    Raises :class:`TrainingError` or :class:`RepositoryError`.
    """
    repository = Repository(options.models)
    if not (options.command == "import" or repository.folder.is_dir()):
        raise RepositoryError(
            f"{repository.folder} does not exist; name another repository with --models DIR, or "
            "publish a first version with train or models import FILE.onnx"
        )
    if options.command in _CHANGES:
        return _CHANGES[options.command](repository, options)
    question, table = _QUESTIONS[options.command]
    report = question(repository, options)
    return report, table(report)


def _promote(repository: Repository, options: Namespace) -> Answer:
    version, force = options.version, options.force
    store, field = options.store or default_store(repository.root), None
    if store != "none" and not force:
        settings = card.part(repository.card(version), "settings")
        share = settings.get("feedback_held_out", Config().feedback_held_out)
        try:
            field = collect(store, repository, share).held_out
        except TrainingError:
            if options.store:
                raise  # else the gate does without it, as in train
    command = f"models {options.command}"
    decision = promote_past_gate(
        *(repository.root, version, options.data, field), force=force, command=command
    )
    if not decision.promoted:
        raise TrainingError(
            f"version {version} was not promoted: {decision.reason}; the champion stays. "
            f"To promote it anyway: {_command(options, f'promote {version} --force')}"
        )
    report = {**decision.as_dict(), "champion": str(version)}
    follows = "" if decision.previous == version else tables.FOLLOWS
    undo = [f"to undo this: {_command(options, 'rollback')}"]
    lines = [f"version {version} is champion: {decision.reason}{follows}"]
    return report, lines if decision.previous in {None, version} else lines + undo


def _challenge(repository: Repository, options: Namespace) -> Answer:
    if options.end:
        report = challenge.enter(repository, "challenge --end")
        line = f"version {report['challenger']} no longer challenges {report['champion']}"
        return report, [f"{line}{tables.FOLLOWS}"]
    report = challenge.challenge(repository, options.challenger, options.canary)
    undo = f"to end this: {_command(options, 'challenge --end')}"
    return report, [f"{tables.challenges(report)}{tables.FOLLOWS}", undo]


def _verdict(repository: Repository, options: Namespace) -> Answer:
    report = challenge.verdict(repository, options.store or default_store(repository.root))
    if not options.promote:
        return report, tables.verdict(report)
    if report["verdict"] != "promote":
        raise TrainingError(
            f"version {report['version']} was not promoted, the verdict is {report['verdict']}: "
            f"{report['reason']}; the champion stays"
        )
    options.version = int(report.pop("version"))  # the journal's name of a new champion
    challenge.enter(repository, "verdict", **report)
    return _promote(repository, options)


def _rollback(repository: Repository, options: Namespace) -> Answer:
    report = operations.rollback(repository)
    line = f"version {report['champion']} is champion again: {report['reason']}{tables.FOLLOWS}"
    undo = _command(options, f"promote {report['previous']} --force")
    return report, [line, f"to undo this: {undo}"]


def _import(repository: Repository, options: Namespace) -> Answer:
    from training.onnx_import.sandbox import import_in_child
    from training.progress import Progress

    with Progress(sys.stderr) as bar:
        model, facts = import_in_child(
            *(options.file, options.scale, options.data),
            lambda step, done: bar.bar(step, round(1000 * done), 1000, options.file.name),
        )
    settings = {"scale": options.scale} if options.scale else {}
    story = card.describe(
        architecture="imported", settings=settings, training={}, validation=None, **facts
    )
    from training.export import convert

    with staging(repository.root) as folder:
        staged = folder / "model.onnx"
        staged.write_bytes(model)
        convert.stamp(staged, card.story(story))
        version, decision = release(folder, repository.root, story)
    report = {"version": str(version), **story, "promotion": decision.as_dict()}
    diff = _command(options, f"diff {decision.previous} {version}")
    compare = f"compare: {diff}; " if decision.previous else ""
    promote = f"promote: {_command(options, f'promote {version}')}"
    line = f"version {version} published, not promoted; {compare}{promote}"
    return report, [*tables.imported(report), line]


_QUESTIONS: Mapping[str, tuple[Callable[[Repository, Namespace], Any], Callable[[Any], Any]]] = {
    "list": (lambda r, _: operations.listed(r), tables.versions),
    "show": (lambda r, o: r.card(o.version), tables.card),
    "verify": (lambda r, o: operations.verify(r, o.version, o.data), tables.verified),
    "diff": (lambda r, o: operations.diff(r, o.version, o.other, o.data), tables.comparison),
    "prune": (lambda r, o: operations.prune(r, o.keep), tables.pruned),
}
_CHANGES: Mapping[str, Callable[[Repository, Namespace], Answer]] = {
    "promote": _promote,
    "challenge": _challenge,
    "verdict": _verdict,
    "rollback": _rollback,
    "import": _import,
}


def _command(options: Namespace, words: str) -> str:
    return f"models {words}{tables.where(options.models)}"
