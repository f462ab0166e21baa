"""Labels of a real store become what is learnt, what is held out, and what reviewers are asked."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from service.models.repository import Repository
from service.store.store import FILE, Store
from service.store.tables import ASKED
from tests.training.digits import mnist
from tests.training.feedback.hands import fill
from training.config import Config
from training.errors import TrainingError
from training.feedback.field import Field, collect, seed_of, unchanged

MODELS = Repository(Path(__file__).parents[3] / "models")
IMAGES, DIGITS = mnist().test_images[:400], mnist().test_labels[:400]
PEOPLE = [f"person {n % 4}" for n in range(400)]


def asked(url: str) -> dict[str, str]:
    store = Store(url)
    with store.begin() as connection:
        found = {row.image: row.reason for row in connection.execute(select(ASKED))}
    store.close()
    return found


def test_a_share_is_held_out_and_stays_so_as_more_comes(tmp_path: Path) -> None:
    url = fill(tmp_path / "s.sqlite", IMAGES[:200], DIGITS[:200], PEOPLE[:200])
    first = collect(url, MODELS, 0.3)
    assert first.learnt
    assert first.held_out
    assert 40 <= len(first.held_out[1]) <= 80
    assert len(first.learnt[1]) + len(first.held_out[1]) + len(first.set_aside) == 200
    fill(tmp_path / "s.sqlite", IMAGES[200:], DIGITS[200:], PEOPLE[200:])
    second = collect(url, MODELS, 0.3)
    assert second.held_out
    before, after = (set(map(bytes, each)) for each in (first.held_out[0], second.held_out[0]))
    assert before < after
    assert first.sha256 != second.sha256
    assert collect(url, MODELS, 0.3).sha256 == second.sha256
    told = second.describe()
    assert told["learnt"] + told["held_out"] + told["set_aside"] == 400
    assert told["champion_accuracy"] > 0.97
    assert "person" not in json.dumps(told)


def test_wrong_labels_are_set_aside_and_reviewers_are_asked_until_a_second_person_agrees(
    tmp_path: Path,
) -> None:
    given = DIGITS.copy()
    given[:5] = (given[:5] + 1) % 10
    url = fill(tmp_path / "s.sqlite", IMAGES, given, PEOPLE)
    field = collect(url, MODELS, 0.3)
    assert asked(url) == {}
    assert len(field.set_aside) >= 4
    one = field.set_aside[0]
    assert str(one) == f"labelled {one.digit}, where the rest of the data say {one.expected}"
    field = collect(url, MODELS, 0.3, ask=True)
    assert asked(url) == {each.image: str(each) for each in field.set_aside}
    fill(tmp_path / "s.sqlite", IMAGES[:5], given[:5], ["reviewer"] * 5, "review")
    assert len(collect(url, MODELS, 0.3).set_aside) <= len(field.set_aside) - 4
    assert len(asked(url)) <= len(field.set_aside) - 4


def test_nothing_of_a_labeller_who_is_contradicted_is_used(tmp_path: Path) -> None:
    given = DIGITS.copy()
    given[::4] = (given[::4] + 1) % 10
    field = collect(fill(tmp_path / "s.sqlite", IMAGES, given, PEOPLE), MODELS, 0.3)
    assert field.refused == ("person 0",)
    assert {each.labeller for each in field.set_aside} >= {"person 0"}
    kept = field.describe()
    assert kept["learnt"] + kept["held_out"] <= 300


def test_no_store_is_no_field_and_makes_no_file(tmp_path: Path) -> None:
    own = f"sqlite:///{tmp_path / FILE}"
    assert collect(own, Repository(tmp_path), 0.3) == Field()
    with pytest.raises(TrainingError, match=r"^there is no store at .*sqlite; a service makes it"):
        collect(own, MODELS, 0.3)
    assert list(tmp_path.iterdir()) == []
    empty = fill(tmp_path / "s.sqlite", IMAGES[:0], DIGITS[:0], [])
    assert collect(empty, MODELS, 0.3) == Field()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("nothing", "store=nothing: .*sqlite:///"),
        ("oracle://a:secret@x", "store=oracle://...@x: .*sqlite:///"),
        ("none", "no store is named; "),
        ("sqlite:///{}", "the store cannot be read: .*not a database$"),
        ("postgresql+psycopg://127.0.0.1:1/a", "the store cannot be read: .*127.0.0.1.*refused"),
    ],
)
def test_a_store_that_cannot_be_read_is_one_line(tmp_path: Path, url: str, why: str) -> None:
    damaged = tmp_path / "damaged"
    damaged.write_bytes(b"no database" * 100)
    with pytest.raises(TrainingError, match=f"^{why}") as caught:
        collect(url.format(damaged), MODELS, 0.3)
    assert not re.search("\n|Background|secret", str(caught.value))


def test_what_the_champion_learnt_is_nothing_new(tmp_path: Path) -> None:
    def champion(settings: dict[str, Any], **parts: Any) -> Repository:
        folder = tmp_path / "mnist" / "1"
        folder.mkdir(parents=True, exist_ok=True)
        card = {
            "sha256": "0",
            "version": "1",
            "settings": settings,
            "data": {"files": {"a": "b"}},
            **parts,
        }
        (folder / "card.json").write_text(json.dumps(card))
        (folder / "model.onnx").write_bytes(b"")
        (tmp_path / "mnist/champion").write_text("1\n")
        return Repository(tmp_path)

    config, files = Config(seed=3), {"a": "b"}
    own = json.loads(config.model_dump_json()) | {"seed": 9}
    field = Field("5" * 64)
    assert unchanged(Repository(tmp_path / "no"), Field(), files, config) is None
    assert unchanged(champion(own), Field(), files, config) == 1
    older = {name: value for name, value in own.items() if not name.startswith("feedback")}
    assert unchanged(champion(older), Field(), files, config) == 1
    assert unchanged(champion(own), field, files, config) is None
    learnt = champion(own, feedback={"sha256": field.sha256})
    assert unchanged(learnt, field, files, config) == 1
    assert unchanged(learnt, field, {"a": "c"}, config) is None
    assert unchanged(learnt, field, files, Config(epochs=11)) is None
    assert unchanged(champion({"ridge": 5}), Field(), files, config) is None


def test_the_seed_is_new_for_each_version_and_the_same_for_a_run_that_is_resumed() -> None:
    config, one, other = Config(), Field("1" * 64), Field("2" * 64)
    seed = seed_of(MODELS, one, config)
    assert seed == seed_of(MODELS, one, Config(seed=8)) != seed_of(MODELS, other, config)
    assert seed != seed_of(Repository(MODELS.root / "none"), one, config)
    assert 0 <= seed < 2**32
