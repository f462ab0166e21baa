from __future__ import annotations

from pathlib import Path

import pytest

from training.cli.flags import parse
from training.config import Config


def test_without_flags_it_is_the_recipe_default() -> None:
    command = parse([])
    assert (command.recipe, command.config) == ("default", Config.from_recipe("default"))
    assert (command.data, command.models, command.promote) == (None, Path("models"), True)


def test_the_repository_is_named_by_the_environment_unless_a_flag_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MNIST_MODELS", "/srv/models")
    assert parse([]).models == Path("/srv/models")
    assert parse([]).checkpoints == Path("/srv/models/mnist/.checkpoints")
    assert parse(["--models", "mine"]).models == Path("mine")


def test_mlp_alone_is_the_recipe_tutorial() -> None:
    assert parse(["--architecture", "mlp"]).config == Config.from_recipe("tutorial")


def test_every_network_of_convolutions_alone_is_the_recipe_default() -> None:
    for name in ("cnn", "valid_cnn"):
        config = parse(["--architecture", name]).config
        assert config == Config.from_recipe("default", architecture=name)


def test_mlp_with_a_recipe_is_that_recipe_with_another_network() -> None:
    command = parse(["--architecture", "mlp", "--recipe", "quick"])
    assert command.config == Config.from_recipe("quick", architecture="mlp")
    assert (command.config.architecture, command.config.optimizer) == ("mlp", "muon")


def test_every_knob_has_its_flag_and_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        parse(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    for name, field in Config.model_fields.items():
        assert f"--{name.replace('_', '-')} " in told.replace(",", " ")
        assert field.description
        assert " ".join(field.description.split()) in told


def test_flags_of_every_kind_reach_the_settings() -> None:
    words = "--hidden-units 64 32 --no-batch-normalization --activation tanh --dropout 0.5 --seed 7"
    config = parse(words.split()).config
    assert config.hidden_units == (64, 32)
    assert config.batch_normalization is False
    assert (config.activation, config.dropout, config.seed) == ("tanh", 0.5, 7)
    assert parse(["--architecture", "mlp", "--hidden-units"]).config.hidden_units == ()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--epochs ten", "argument --epochs: invalid int value: 'ten'"),
        ("--epochs 0", "--epochs: 0 should be greater than or equal to 1"),
        ("--activation rulu", "argument --activation: invalid choice: 'rulu'"),
        ("--recipe fast", "no recipe 'fast'; there are champion, default, quick, tutorial"),
        ("--epoch 3", "unrecognized arguments: --epoch 3"),
        ("--force --no-promote", "not allowed with argument"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(words.split())
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
