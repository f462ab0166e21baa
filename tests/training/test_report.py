from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest

from training.cli.flags import parse
from training.cli.subcommands import parse_command
from training.config import Config
from training.measure.measure import Parts
from training.network.checkpoint import Epoch
from training.registry.gate import Decision
from training.report import Report

KINDS = {
    "noise": {"trained": True, "auroc": 1.0, "caught": 0.999, "doubted": 1.0},
    "letters": {"trained": False, "auroc": 0.98, "caught": 0.912, "doubted": 0.915},
}


def lines(*calls: tuple[Any, ...]) -> list[str]:
    """Calls methods of a report, each given with its arguments, and returns what it printed."""
    stream = io.StringIO()
    report = Report(stream)
    for name, *arguments in calls:
        getattr(report, name)(*arguments)
    return stream.getvalue().splitlines()


def test_it_prints_the_test_accuracy_and_the_weakest_figures() -> None:
    measured: Parts = {
        "test": {"accuracy": 0.997},
        "robustness": {"blur": 0.9962, "erosion": 0.9821, "noise": 0.9901},
        "doubt": {"threshold": 0.8, "digits": {"pass": 0.9943}, "kinds": KINDS},
    }
    first, last = lines(("measure", measured))
    assert first == "Test accuracy: 0.9970"
    assert last == (
        "measure   3 kinds of digits: least accurate 0.9821 (erosion); "
        "2 of non-digits: least caught 0.912 (letters), where 0.9943 of digits pass"
    )


@pytest.mark.parametrize(
    ("before", "clocks", "times"),
    [
        (0, (9, 15, 18), ("9 s, about 18 s left", "6 s, about 6 s left", "3 s")),
        (500, (680, 800, 820), ("3 min, about 6 min left", "2 min, about 2 min left")),
        (0, (9000, 18_000, 27_000), ("2.5 h, about 5.0 h left",)),
    ],
)
def test_an_epoch_has_its_own_duration_and_the_time_left(
    before: float, clocks: tuple[float, ...], times: tuple[str, ...]
) -> None:
    """The clocks count from the start of the run, also of an interrupted one."""
    calls = [
        ("epoch", Epoch(n, 0.5, 0.9, 0.4, 0.91, 0.1, clock, clock), 3)
        for n, clock in enumerate(clocks, 1)
    ]
    printed = lines(("model", Config(), 10, before), *calls)[1:]
    figures = "loss 0.5000 accuracy 0.9000  validation loss 0.4000 accuracy 0.9100"
    assert printed[0].startswith(f"fit       epoch 1/3  {figures}  ")
    for line, time in zip(printed, times, strict=False):
        assert line.rsplit("  ", 1)[1] == time


TAKEN_UP = "a running service takes it up within 2 s; "
PUBLISHED = "version 6 is published, not promoted; "
COMPARE = f"{PUBLISHED}compare: models diff 5 6"
ANYWAY, MINE = "promote anyway: models promote", " --models mine"
WORSE = Decision(False, "worse", 5)


@pytest.mark.parametrize(
    ("flags", "decision", "told"),
    [
        ("", Decision(True, "better", 5), f"{TAKEN_UP}roll back: models rollback"),
        ("", Decision(True, "no champion"), f"{TAKEN_UP}start one: serve"),
        ("", WORSE, f"{COMPARE}; {ANYWAY} 6 --force"),
        ("--no-promote", WORSE, f"{COMPARE}; promote: models promote 6"),
        ("--no-promote", Decision(False, "not wanted"), f"{PUBLISHED}promote: models promote 6"),
        ("--models mine", WORSE, f"{COMPARE}{MINE}; {ANYWAY} 6 --force{MINE}"),
    ],
)
def test_the_last_line_is_what_to_type_next(
    flags: str, decision: Decision, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MNIST_MODELS", raising=False)
    promote, following = lines(("promote", 6, decision, parse(flags.split())))
    verdict = "is the champion" if decision.promoted else "is not the champion"
    assert promote == f"promote   version 6 {verdict}: {decision.reason}"
    assert following == f"next      {told}"


def test_the_commands_of_the_last_line_exist() -> None:
    options = parse(["--models", "my models"])
    for decision in (WORSE, Decision(True, "better", 5)):
        *_, following = lines(("promote", 6, decision, options))
        commands = re.findall(r": models ([^;]*)", following.replace("'my models'", "mine"))
        assert commands
        for command in commands:
            assert parse_command(command.split()).models == Path("mine")
