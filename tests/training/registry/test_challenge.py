"""A challenge is named, ended and judged; the journal tells, and nobody becomes champion by it."""

from __future__ import annotations

from pathlib import Path
from time import time

import pytest

from service.models.repository import Challenger, Repository
from service.store.images import keep_images
from service.store.store import FILE, Store
from service.store.tables import DISAGREEMENTS, LABELS
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
    assert models.json("verdict")["mode"] == "canary"
    assert models("prune", "--keep", "1") == "removed 2; kept 1, 3\n"
    assert "version 1 no longer challenges 3" in models("challenge", "--end")
    assert repository.challenger() is None
    commands = [entry["command"] for entry in repository.journal()][-3:]
    assert commands == ["models challenge", "models challenge", "models challenge --end"]
    assert journal.champions(repository.journal(), 3) == [1, 2, 3]


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
    assert "the verdict is undecided: 7 wins" in models("verdict", "--promote", status=1)
    labelled(root, range(7, 10), "3", "2")  # those of another challenger tell nothing
    assert models.json("verdict")["wins"] == 7
    labelled(root, range(10, 40), "3", "1")
    assert models.json("verdict")["verdict"] == "promote"
    assert "version 1 was not promoted: " in models("verdict", "--promote", status=1)
    assert (repository.champion(), repository.journal()[-1]["wins"]) == (3, 37)
    assert journal.champions(repository.journal(), 3) == [1, 2, 3]
    assert "version 1 is champion: forced" in models("verdict", "--promote", "--force")
    assert (repository.champion(), repository.challenger()) == (1, None)
    assert journal.champions(repository.journal(), 1) == [2, 3, 1]


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
