"""Runs the subcommands of ``models``: each returns a report for programs and lines for people."""

from __future__ import annotations

import shlex
from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import NamedTuple

from service.cli.parser import default_models, default_store
from service.models.repository import Repository, RepositoryError
from training.cli import tables
from training.cli.tables import Report
from training.config import Config
from training.errors import TrainingError
from training.feedback.field import collect
from training.measure.card import part
from training.measure.compare import spread
from training.network import checkpoint
from training.registry import challenge, operations
from training.registry.promote import promote_past_gate


class Answer(NamedTuple):
    """``report`` holds JSON values; ``lines`` say the same in words."""

    report: Report
    lines: list[str]

    @classmethod
    def of(cls, report: Report, table: Callable[[Report], list[str]], *more: str) -> Answer:
        """Returns the report with its table and ``more`` lines."""
        return cls(report, [*table(report), *more])


def answer(options: Namespace) -> Answer:
    """Runs a subcommand. Raises :class:`TrainingError` or :class:`RepositoryError`."""
    repository = Repository(options.models)
    needs_none = options.command == "import" or getattr(options, "checkpoints", None)
    if not (needs_none or repository.folder.is_dir()):
        raise RepositoryError(
            f"{repository.folder} does not exist; name another repository with --models DIR, or "
            "publish a first version with train or models import FILE.onnx"
        )
    return _SUBCOMMANDS[options.command](repository, options)


def _list(repository: Repository, _: Namespace) -> Answer:
    runs = checkpoint.kept(checkpoint.place(repository.root))
    report = operations.listed(repository) | {"stopped": [run.as_dict() for run in runs]}
    return Answer.of(report, tables.versions, *([checkpoint.summary(runs)] if runs else []))


def _promote(repository: Repository, options: Namespace) -> Answer:
    version, margin, force = options.version, options.margin, options.force
    store, field = options.store or default_store(repository.root), None
    if store != "none" and not force:
        card = repository.card(version)
        share = part(card, "settings").get("feedback_held_out", Config().feedback_held_out)
        try:
            field = collect(store, repository, share).held_out
        except TrainingError:
            if options.store:
                raise  # else the gate does without it, as in train
    decision = promote_past_gate(
        *(repository.root, version, options.data, field),
        margin=margin,
        force=force,
        command=f"models {options.command}",
    )
    if not decision.promoted:
        raise TrainingError(
            f"version {version} was not promoted: {decision.reason}; the champion stays. "
            f"To promote it anyway: {_command(options, f'promote {version} --force')}"
        )
    report = {**decision.as_dict(), "champion": str(version)}
    follows = "" if decision.previous == version else tables.FOLLOWS
    undo = [] if decision.previous in {None, version} else [_undo(options, "rollback")]
    return Answer(report, [f"version {version} is champion: {decision.reason}{follows}", *undo])


def _challenge(repository: Repository, options: Namespace) -> Answer:
    if options.end:
        report = challenge.enter(repository, "challenge --end")
        line = f"version {report['challenger']} no longer challenges {report['champion']}"
        return Answer(report, [f"{line}{tables.FOLLOWS}"])
    report = challenge.challenge(repository, options.version, options.canary)
    undo = f"to end this: {_command(options, 'challenge --end')}"
    return Answer(report, [f"{tables.challenges(report)}{tables.FOLLOWS}", undo])


def _verdict(repository: Repository, options: Namespace) -> Answer:
    report = challenge.verdict(repository, options.store or default_store(repository.root))
    if not options.promote:
        return Answer.of(report, tables.verdict)
    if report["verdict"] != "promote":
        raise TrainingError(
            f"version {report['version']} was not promoted, the verdict is {report['verdict']}: "
            f"{report['reason']}; the champion stays"
        )
    options.version = int(report.pop("version"))  # the journal's name of a new champion
    challenge.enter(repository, "verdict", **report)
    return _promote(repository, options)


def _rollback(repository: Repository, options: Namespace) -> Answer:
    report = operations.rollback(repository, options.steps)
    undo = _undo(options, f"promote {report['previous']} --force")
    line = f"version {report['champion']} is champion again: {report['reason']}{tables.FOLLOWS}"
    return Answer(report, [line, undo])


def _prune(repository: Repository, options: Namespace) -> Answer:
    if options.keep:
        report = operations.prune(repository, options.keep)
        removed = f"removed {', '.join(report['removed'])}" if report["removed"] else tables.NOTHING
        return Answer(report, [f"{removed}; kept {', '.join(report['kept'])}"])
    runs, folder = checkpoint.remove(options.checkpoints), options.checkpoints
    count = "1 checkpoint" if len(runs) == 1 else f"{len(runs)} checkpoints"
    removed = f"removed {count}, {checkpoint.mebibytes(runs)},"
    line = f"{removed if runs else tables.NOTHING} in {folder}"
    return Answer({"removed": [run.as_dict() for run in runs]}, [line])


def _import(repository: Repository, options: Namespace) -> Answer:
    from training.cli.importing import import_file, summary
    from training.onnx_import.forms import Options

    wanted = Options(options.scale, options.output)
    report = import_file(repository, options.file, wanted, options.data)
    version, champion = report["version"], report["promotion"]["previous"]
    diff = _command(options, f"diff {champion} {version}")
    compare = f"compare: {diff}; " if champion else ""
    promote = f"promote: {_command(options, f'promote {version}')}"
    line = f"version {version} published, not promoted; {compare}{promote}"
    return Answer.of(report, summary, line)


_SUBCOMMANDS: Mapping[str, Callable[[Repository, Namespace], Answer]] = {
    "list": _list,
    "show": lambda r, o: Answer.of(r.card(o.version), tables.card),
    "verify": lambda r, o: Answer.of(operations.verify(r, o.version, o.data), tables.verified),
    "promote": _promote,
    "challenge": _challenge,
    "verdict": _verdict,
    "rollback": _rollback,
    "diff": lambda r, o: Answer.of(
        operations.diff(r, o.version, o.other, o.data), tables.comparison
    ),
    "spread": lambda r, o: Answer.of(spread(r, o.versions), tables.spread),
    "prune": _prune,
    "import": _import,
}


def _undo(options: Namespace, words: str) -> str:
    return f"to undo this: {_command(options, words)}"


def _command(options: Namespace, words: str) -> str:
    """Returns a command for the same repository, to copy into a shell."""
    if options.models == default_models():
        return f"models {words}"
    return f"models {words} --models {shlex.quote(str(options.models))}"
