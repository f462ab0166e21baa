"""Every setting of a training run: its name, type, range, default and meaning.

``training.cli.flags`` makes a flag from each field, with its docstring as the help text. A flag
overrides the recipe, and the recipe overrides the default.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.errors import TrainingError

RECIPES = Path(__file__).parent / "recipes"

Architecture = Literal["mlp", "cnn", "valid_cnn"]
Activation = Literal["relu", "linear", "leaky_relu", "elu", "silu", "tanh", "sigmoid"]
Loss = Literal["sparse_categorical_crossentropy", "mean_squared_error"]
Optimizer = Literal["sgd", "momentum", "rmsprop", "adam", "muon"]
Precision = Literal["float32", "bfloat16", "auto"]
Schedule = Literal["constant", "exponential", "cosine", "one_cycle"]
Weights = Literal["float32", "int8"]
Share = Annotated[float, Field(ge=0, le=1)]
ShareBelowOne = Annotated[float, Field(ge=0, lt=1)]
NotNegative = Annotated[float, Field(ge=0)]
# TOML has arrays and no tuples; the entries themselves stay strict.
Widths = Annotated[tuple[Annotated[int, Field(ge=1, le=8192)], ...], Field(strict=False)]


class Config(BaseModel):
    """The settings of one run. Frozen, so that the card records the settings that were used."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    architecture: Architecture = "cnn"
    """network of dense layers or of convolutions"""
    filters: Widths = (32, 32, 64, 64, 128)
    """cnn, valid_cnn: width of each convolution, first to last"""
    hidden_units: Widths = ()
    """width of each dense layer before the last"""
    activation: Activation = "relu"
    """activation of every hidden layer"""
    batch_normalization: bool = False
    """batch normalisation after each hidden layer"""
    dropout: ShareBelowOne = 0.0
    """share of units dropped after each dense layer or pooling"""
    l2: NotNegative = 0.0
    """L2 penalty on every kernel, added to the loss"""

    loss: Loss = "sparse_categorical_crossentropy"
    """loss to minimise, over the ten digits"""
    optimizer: Optimizer = "adam"
    """update rule"""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """highest learning rate of the schedule"""
    schedule: Schedule = "constant"
    """learning rate over the run; exponential falls to 1 %, cosine to 0, one_cycle rises from 4 %
    for a quarter of the run and then falls to 0"""
    weight_decay: NotNegative = 0.0
    """share of the learning rate by which each step shrinks the weights"""
    batch_size: Annotated[int, Field(ge=1, le=60_000)] = 128
    """images in a step"""
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 10
    """passes over the training images"""
    early_stopping: Annotated[int, Field(ge=0)] = 0
    """stop after this many epochs without a better validation loss and keep the best weights; 0:
    never"""
    validation_fraction: ShareBelowOne = 0.1
    """share of the training images held out for validation"""

    shift: Annotated[float, Field(ge=0, le=14)] = 0.0
    """augmentation: move by up to this many pixels"""
    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0
    """augmentation: rotate by up to this many degrees"""
    scale: ShareBelowOne = 0.0
    """augmentation: grow or shrink each axis by up to this share"""
    shear: Annotated[float, Field(ge=0, le=45)] = 0.0
    """augmentation: shear by up to this many degrees"""
    elastic: Annotated[float, Field(ge=0, le=5)] = 0.0
    """augmentation: move the knots of a grid, with this standard deviation in pixels"""
    wild: Share = 0.0
    """augmentation: share of the images that move and rotate up to 2.3 times as far"""
    corruption: Share = 0.0
    """augmentation: share of the images made thicker, thinner, paler, noisy, speckled, blurred or
    coarse"""
    printed: Share = 0.0
    """printed digits added to each step, as a share of the batch"""
    written: Share = 0.0
    """digits in other handwriting added to each step, as a share of the batch"""
    non_digits: Share = 0.0
    """letters, signs, drawings, pairs of digits and noise added to each step, as a share of the
    batch; their target is the same probability for every digit"""
    feedback_share: Share = 0.1
    """with --feedback: labelled images added to each step, as a share of the batch"""
    feedback_weight: Annotated[float, Field(gt=0, le=100)] = 1.0
    """with --feedback: weight of a labelled image in the loss"""
    feedback_held_out: ShareBelowOne = 0.3
    """share of the labelled images that is not learnt from, for the gate"""
    clean_epochs: Annotated[int, Field(ge=0, le=10_000)] = 0
    """epochs before the others, at twice the learning rate and without wild, corruption, printed,
    written, non_digits and feedback_share"""
    clean_share: Share = 0.0
    """share of the weights after the clean epochs in the final weights"""

    precision: Precision = "float32"
    """arithmetic of training; auto: bfloat16 on a CPU that supports it"""
    weights: Weights = "float32"
    """convolutions of the published file; int8 takes half the time and is kept if it costs at most
    0.02 percentage points"""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """seed of the split, the first weights, the order and the augmentation"""

    @model_validator(mode="after")
    def _settings_fit_together(self) -> Self:
        """Rejects a setting that the run would ignore."""
        convolutional = self.architecture in ("cnn", "valid_cnn")
        if convolutional and not self.filters:
            raise ValueError("filters: a cnn needs one convolution or more")
        if self.architecture == "valid_cnn" and not 2 <= len(self.filters) <= 7:
            raise ValueError("filters: a valid_cnn has 2 to 7 convolutions")
        if not convolutional and self.filters != type(self).model_fields["filters"].default:
            raise ValueError("filters: only a cnn has convolutions")
        if not convolutional and self.weights == "int8":
            raise ValueError("weights: int8 needs convolutions, and an mlp has none")
        if self.clean_share and not self.clean_epochs:
            raise ValueError("clean_share: needs clean_epochs above 0")
        if self.early_stopping and not self.validation_fraction:
            raise ValueError("early_stopping: needs a validation_fraction above 0")
        return self

    @classmethod
    def from_recipe(cls, recipe: str | Path, **flags: Any) -> Self:
        """Reads a recipe by name or path; ``flags`` override it.

        An mlp drops the recipe's ``filters`` and ``weights``. Raises :class:`TrainingError`.
        """
        path = recipe_path(recipe)
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise TrainingError(f"recipe {path}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise TrainingError(f"recipe {path}: not TOML: {error}") from error
        if flags.get("architecture") == "mlp":
            values = {k: v for k, v in values.items() if k not in ("filters", "weights")}
        try:
            return cls(**(values | flags))
        except ValidationError as error:
            raise TrainingError(_one_line(error, f"recipe {path.name}", flags)) from error


@dataclass(frozen=True, slots=True)
class Options:
    """What the user of ``train`` asked for."""

    config: Config
    recipe: str
    data: Path | None
    models: Path
    resume: bool
    checkpoints: Path
    promote: bool
    force: bool
    store: str  # URL of the store with what people labelled; "none" for none
    feedback: bool  # whether to learn from it
    seed_given: bool
    seeds: tuple[int, ...] = ()  # to train side by side
    search: Path | None = None  # the file whose settings to search
    engine: Literal["local", "ray"] = "local"
    address: str | None = None
    workers: int | None = None


def recipe_names() -> list[str]:
    """Returns the names of the package's recipes."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def recipe_path(recipe: str | Path) -> Path:
    """Returns the recipe's file. A bare name means one of the package's recipes, never a file."""
    path = Path(recipe)
    if path.suffix == ".toml" or len(path.parts) > 1:
        return path
    if path.name not in recipe_names():
        raise TrainingError(f"no recipe {str(recipe)!r}; there are {', '.join(recipe_names())}")
    return RECIPES / f"{path.name}.toml"


def _one_line(error: ValidationError, recipe: str, flags: dict[str, Any]) -> str:
    """Describes the first error, with the name under which the user set the value."""
    first = error.errors(include_url=False)[0]
    if not first["loc"]:
        return str(first["ctx"]["error"])
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        return f"{recipe}: unknown setting {name!r}"
    source = f"--{name.replace('_', '-')}" if name in flags else f"{recipe}: {name}"
    message = first["msg"].removeprefix("Input ")
    return f"{source}: {first['input']!r} {message}"
