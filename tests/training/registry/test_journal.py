"""The journal has the order of the champions, also after crashes and edits by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from service.models.repository import Repository
from training.registry.journal import ROLLBACK, champions, entered


def line(version: int, previous: int | None, command: str = "train") -> dict[str, Any]:
    before = None if previous is None else str(previous)
    return {"version": str(version), "previous": before, "command": command}


FIRST = [line(1, None), line(2, 1)]
BACK = line(2, 3, ROLLBACK)


@pytest.mark.parametrize(
    ("journal", "history"),
    [
        pytest.param([], [3], id="no journal"),
        pytest.param([*FIRST, line(5, 2)], [1, 2, 5], id="in order"),
        pytest.param([*FIRST, line(3, 2), BACK], [1, 2], id="a rollback"),
        pytest.param([*FIRST, line(3, 2), BACK, line(1, 2, ROLLBACK)], [1], id="a second one"),
        pytest.param([*FIRST, line(1, 2, "models promote")], [2, 1], id="promoted again"),
        # A crash came after the journal's line and before the change of the champion file.
        pytest.param(FIRST, [1], id="a crash"),
        pytest.param([*FIRST, line(3, 1)], [1, 3], id="a crash, then a release"),
        pytest.param([*FIRST, line(4, 7)], [1, 2, 7, 4], id="set by hand, then a release"),
        pytest.param(FIRST, [1, 2, 9], id="set by hand"),
        pytest.param([FIRST[0], {}, FIRST[1]], [1, 2], id="junk"),
        pytest.param([FIRST[0], {"version": 0}, FIRST[1]], [1, 2], id="no version"),
        pytest.param([FIRST[0], {"version": "x", "previous": ["1"]}, FIRST[1]], [1, 2], id="types"),
    ],
)
def test_the_history_of_champions(journal: list[dict[str, Any]], history: list[int]) -> None:
    assert champions(journal, history[-1]) == history


def test_an_entry_is_removed_if_its_change_fails(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with entered(path, line(1, None)):
        pass
    before = path.read_bytes()
    with pytest.raises(FileNotFoundError), entered(path, line(2, 1)):
        (tmp_path / "champion.new").rename(tmp_path / "champion")
    assert path.read_bytes() == before


def test_an_entry_after_a_torn_line_has_its_own_line(tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    path = tmp_path / "mnist" / "journal.jsonl"
    path.write_text(json.dumps(line(1, None)) + '\n{"version": "2", "prev')
    with entered(path, line(3, 1)):
        pass
    assert Repository(tmp_path).journal() == [line(1, None), line(3, 1)]
