"""A challenge is named, ended and judged; the journal tells, and nobody becomes champion by it."""

from __future__ import annotations

from pathlib import Path
from time import time

import pytest

from service.models.repository import Challenger, Repository
from service.store.store import FILE, Store
from service.store.tables import DISAGREEMENTS, LABELS, keep_images
from tests.training.conftest import Said
from training.registry import journal


def labelled(root: Path, numbers: range, champion: str, challenger: str) -> None:
    """So many labelled disagreements, all won by the challenger."""
    store = Store(f"sqlite:///{root / FILE}")
    with store.begin() as connection:
        ids = keep_images(connection, [bytes([n] * 784) for n in numbers])
        pair = {"champion": champion, "challenger": challenger, "seen_at": time()}
        digits = {"champion_digit": 1, "challenger_digit": 2}
        connection.execute(DISAGREEMENTS.insert(), [{"image": i, **pair, **digits} for i in ids])
        said = {"digit": 2, "caller": "a", "source": "review", "labelled_at": time()}
        connection.execute(LABELS.insert(), [{"id": i, "image": i, **said} for i in ids])
    store.close()


def test_the_journal_tells_of_a_challenge_and_its_end(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models, repository = Said(root, capsys), Repository(root)
    assert "version 2 challenges 3 in the shadow" in models("challenge", "2")
    named = repository.challenger()
    assert named is not None
    assert named[:2] == ("2", 0.0)
    assert "for 0.05 of the callers" in models("challenge", "1", "--canary", "0.05")
    assert models("list").endswith("\nversion 1 challenges 3 for 0.05 of the callers\n")
    assert (models.json("list")["challenger"], models.json("list")["share"]) == ("1", 0.05)
    assert "; 1 challenges it now; " in models("promote", "2", "--force")
    assert "again: back from 2; 1 challenges it now; " in models("rollback")
    assert models.json("verdict")["mode"] == "canary"
    assert models("prune", "--keep", "1") == "removed 2; kept 1, 3\n"
    assert "version 1 no longer challenges 3" in models("challenge", "--end")
    assert repository.challenger() is None
    commands = [entry["command"] for entry in repository.journal() if "challenger" in entry]
    assert commands == ["models challenge", "models challenge", "models challenge --end"]
    assert journal.champions(repository.journal(), 3) == [1, 3]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("challenge 3", "version 3 is the champion"),
        ("challenge 9", "version 9: it is not in"),
        ("challenge --end", "no version challenges the champion"),
        ("verdict", "no version challenges the champion"),
        ("verdict --promote", "no version challenges the champion"),
    ],
)
def test_what_cannot_be_is_one_line(
    root: Path, command: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reason in Said(root, capsys)(*command.split(), status=1)
    assert Repository(root).challenger() is None


def test_a_verdict_promotes_past_the_gate_alone_and_one_that_is_refused_made_no_champion(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Version 1 is clearly worse on the test images, whatever its labels say."""
    models, repository = Said(root, capsys), Repository(root)
    models("challenge", "1")
    labelled(root, range(7), "3", "1")
    assert "the verdict is undecided: labelled disagreements: 7," in models(
        "verdict", "--promote", status=1
    )
    labelled(root, range(7, 10), "3", "2")  # those of another challenger tell nothing
    assert models.json("verdict")["wins"] == 7
    labelled(root, range(10, 40), "3", "1")
    assert models.json("verdict")["verdict"] == "promote"
    assert "version 1 was not promoted: " in models("verdict", "--promote", status=1)
    assert (repository.champion(), repository.journal()[-1]["wins"]) == (3, 37)
    assert journal.champions(repository.journal(), 3) == [1, 2, 3]
    said = models("verdict", "--promote", "--force")
    assert "version 1 is champion: forced" in said
    assert "; its challenge has ended; a running" in said
    assert repository.journal()[-1]["reason"].endswith("; its challenge has ended")
    assert (repository.champion(), repository.challenger()) == (1, None)
    assert journal.champions(repository.journal(), 1) == [2, 3, 1]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("none", "no store is named; give its URL, or set MNIST_STORE"),
        ("sqlite:////nowhere/x.sqlite", "there is no store at /nowhere/x.sqlite; "),
        ("foo", "store=foo: "),
    ],
)
def test_there_is_no_verdict_without_a_store(
    root: Path, url: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    models = Said(root, capsys)
    models("challenge", "2")
    assert "no image yet" in models("verdict")  # no service has made the store beside the models
    assert models("verdict", "--store", url, status=1).startswith(f"models: {why}")


def test_a_challenger_that_is_gone_or_damaged_is_told_and_ended(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models, path = Said(root, capsys), root / "mnist/challenger"
    path.write_text("99 0.5\n")
    assert models.json("verdict")["reason"] == "it does not answer: there is no version '99'"
    path.write_text("garbage\n")
    damaged = "challenger is damaged: it holds 'garbage'"
    assert damaged in models("verdict", status=1)
    assert "version 2 is champion" in models("promote", "2", "--force")
    assert models("challenge", "--end").startswith("version ? no longer challenges 2; ")
    assert not path.exists()
    with pytest.raises(SystemExit):
        models("challenge", "--end", "--canary", "0.5")


def test_the_file_may_be_damaged_by_hand(root: Path) -> None:
    path = root / "mnist/challenger"
    for text, found in {
        "2": Challenger("2", 0.0, ""),
        "2 0.5": Challenger("2", 0.5, ""),
        "2 1.5 x\n": Challenger("2", 1.0, "x"),
    }.items():
        path.write_text(text)
        assert Repository(root).challenger() == found
    for text in ("", "02", "two", "2 x", "2 0.5 a b", "2\n\n"):
        path.write_text(text)
        with pytest.raises(Exception, match="is damaged"):
            Repository(root).challenger()
