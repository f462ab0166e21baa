from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from training.config import Config, recipe_names
from training.errors import TrainingError


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_of_the_package_is_valid(name: str) -> None:
    Config.from_recipe(name)


def test_the_recipe_tutorial_is_the_tutorials_network() -> None:
    config = Config.from_recipe("tutorial")
    assert (config.architecture, config.hidden_units, config.activation) == ("mlp", (128,), "relu")
    assert config.loss == "sparse_categorical_crossentropy"
    assert (config.optimizer, config.epochs) == ("adam", 10)


def test_a_flag_beats_the_recipe_and_the_recipe_beats_the_default(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text("epochs = 3\nbatch_size = 32\n")
    config = Config.from_recipe(recipe, epochs=5)
    assert (config.epochs, config.batch_size) == (5, 32)
    assert config.learning_rate == Config.model_fields["learning_rate"].default


def test_the_recipes_of_convolutions_publish_int8_unless_a_flag_overrides_that() -> None:
    forms = {name: Config.from_recipe(name).weights for name in recipe_names()}
    assert forms.pop("tutorial") == Config().weights == "float32"
    assert set(forms.values()) == {"int8"}
    assert Config.from_recipe("default", weights="float32").weights == "float32"
    assert Config.from_recipe("default", architecture="mlp").weights == "float32"


def test_a_name_without_suffix_is_never_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file called ``quick`` in the working folder does not hide the recipe of that name."""
    monkeypatch.chdir(tmp_path)
    Path("quick").write_text("epochs = 99")
    assert Config.from_recipe("quick").epochs != 99


def test_the_settings_in_a_card_give_the_same_settings_again() -> None:
    config = Config.from_recipe("default", seed=7)
    assert Config(**config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("text", "flags", "message"),
    [
        ("ephocs = 3", {}, r"mine\.toml: unknown setting 'ephocs'$"),
        ("[layers]\nx = 1", {}, r"mine\.toml: unknown setting 'layers'"),
        ("epochs = 0", {}, r"mine\.toml: epochs: 0 should be greater than or equal to 1$"),
        ("epochs = true", {}, r"mine\.toml: epochs: True should be a valid integer$"),
        ("dropout = nan", {}, r"mine\.toml: dropout: nan should be"),
        ("hidden_units = [128, 0]", {}, r"mine\.toml: hidden_units: 0 should be greater"),
        ("activation = 'rulu'", {}, r"mine\.toml: activation: 'rulu' should be .*'relu'"),
        ("", {"dropout": 1.5}, r"^--dropout: 1\.5 should be less than 1$"),
        ("", {"learning_rate": -1.0}, r"^--learning-rate: -1\.0 should be greater than 0$"),
        ("filters = []", {}, r"^filters: a cnn needs"),
        ("architecture = 'mlp'\nfilters = [8]", {}, r"^filters: only a cnn"),
        ("architecture = 'valid_cnn'\nfilters = [8]", {}, r"^filters: a valid_cnn has 2 to 7"),
        ("architecture = 'mlp'\nweights = 'int8'", {}, r"^weights: int8 needs convolutions"),
        ("", {"architecture": "mlp", "weights": "int8"}, r"^weights: int8 needs convolutions"),
        ("clean_share = 0.3", {}, r"^clean_share: needs clean_epochs"),
        ("early_stopping = 2\nvalidation_fraction = 0.0", {}, r"^early_stopping: needs"),
        ("epochs = 1\nepochs = 2", {}, r"mine\.toml: not TOML: "),
    ],
)
def test_what_is_wrong_is_named_in_one_line(
    tmp_path: Path, text: str, flags: dict[str, Any], message: str
) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(text)
    with pytest.raises(TrainingError, match=message) as caught:
        Config.from_recipe(recipe, **flags)
    assert "\n" not in str(caught.value)


def test_a_recipe_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    for recipe, message in (
        ("fast", "'fast'; there are champion, default, quick, tutorial"),
        (tmp_path / "nowhere.toml", r"nowhere\.toml: No such file"),
        (tmp_path / "binary.toml", r"binary\.toml: not TOML"),
    ):
        with pytest.raises(TrainingError, match=message):
            Config.from_recipe(recipe)
