"""Every knob of a training run, each once: its name, type, range, default and meaning.

The command line is built from these fields (``training.cli.flags``) and recipes are TOML files that
set some of them. A flag beats the recipe, the recipe beats the default.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.errors import TrainingError

RECIPES = Path(__file__).parent / "recipes"

Architecture = Literal["mlp", "cnn", "valid_cnn"]
Activation = Literal["relu", "linear", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid"]
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


class ConfigError(TrainingError):
    """A recipe or a combination of knobs that cannot be used; one line."""


class Config(BaseModel):
    """The settings of one run. Frozen: a run's settings are what its card says they were."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    architecture: Architecture = Field(
        default="cnn", description="network, of dense layers or of convolutions"
    )
    filters: Widths = Field(
        default=(32, 32, 64, 64, 128),
        description="cnn, valid_cnn: width of each convolution, first to last",
    )
    hidden_units: Widths = Field(
        default=(), description="width of each dense layer before the last"
    )
    activation: Activation = Field(default="relu", description="activation of every hidden layer")
    batch_normalization: bool = Field(
        default=False, description="normalise each hidden layer over the batch"
    )
    dropout: ShareBelowOne = Field(
        default=0.0,
        description="share of units dropped after each dense layer or pooling",
    )
    l2: NotNegative = Field(
        default=0.0, description="L2 penalty on every kernel, added to the loss"
    )

    loss: Loss = Field(
        default="sparse_categorical_crossentropy",
        description="what is minimised, over the ten digits",
    )
    label_smoothing: ShareBelowOne = Field(
        default=0.0, description="share of each label spread evenly over the ten digits"
    )
    optimizer: Optimizer = Field(default="adam", description="update rule")
    learning_rate: float = Field(default=1e-3, gt=0, description="highest rate of the schedule")
    schedule: Schedule = Field(
        default="constant",
        description="course of the learning rate; exponential falls to 1 %, cosine to 0, "
        "one_cycle rises from 4 % for a quarter of the run and then falls to 0",
    )
    weight_decay: NotNegative = Field(
        default=0.0, description="share of the rate by which weights shrink a step"
    )
    batch_size: int = Field(default=128, ge=1, le=60_000, description="images a step")
    epochs: int = Field(default=10, ge=1, le=10_000, description="passes over the training images")
    early_stopping: int = Field(
        default=0,
        ge=0,
        description="stop after so many epochs without a better validation loss and keep the "
        "best weights; 0: never",
    )
    validation_fraction: ShareBelowOne = Field(
        default=0.1, description="share of the training images held out for validation"
    )

    shift: float = Field(
        default=0.0,
        ge=0,
        le=14,
        description="augmentation: move by up to so many pixels, both ways",
    )
    rotation: float = Field(
        default=0.0, ge=0, le=180, description="augmentation: turn by up to so many degrees"
    )
    scale: ShareBelowOne = Field(
        default=0.0,
        description="augmentation: grow or shrink by up to this share, each axis",
    )
    shear: float = Field(
        default=0.0, ge=0, le=45, description="augmentation: slant by up to so many degrees"
    )
    elastic: float = Field(
        default=0.0,
        ge=0,
        le=5,
        description="augmentation: bend, by a normal draw of so many pixels at the knots of a grid",
    )

    wild: Share = Field(
        default=0.0,
        description="augmentation: share of the images that turn and move up to 2.3 times as far",
    )
    corruption: Share = Field(
        default=0.0,
        description="augmentation: share of the images made thicker, thinner, paler, noisy, "
        "specked, blurred or coarse",
    )
    printed: Share = Field(
        default=0.0, description="printed digits a step, as a share of the batch"
    )
    written: Share = Field(
        default=0.0,
        description="digits as strokes of other hands a step, as a share of the batch",
    )
    non_digits: Share = Field(
        default=0.0,
        description="letters, signs, drawings, pairs of digits and noise a step, as a share of the "
        "batch, learnt as no digit more than another",
    )
    clean_epochs: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="epochs before the others, at twice the rate, without wild, corrupted, "
        "printed, written and non-digits",
    )
    clean_share: Share = Field(
        default=0.0,
        description="share of the weights after the clean epochs in those that are kept",
    )

    precision: Precision = Field(
        default="float32",
        description="arithmetic of training; auto: bfloat16 on a CPU that has it",
    )
    weights: Weights = Field(
        default="float32",
        description="form of the convolutions in the published file; int8 takes half the time and "
        "is kept if it costs 0.02 points or less",
    )
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**32,
        description="seed of the split, the weights, the order and the noise",
    )

    @model_validator(mode="after")
    def _knobs_fit_together(self) -> Self:
        """Refuses a knob that would be ignored: what is set must do something."""
        defaults = type(self).model_fields
        convolutional = self.architecture in ("cnn", "valid_cnn")
        if convolutional and not self.filters:
            raise ValueError("filters: a cnn needs one convolution or more")
        if self.architecture == "valid_cnn" and not 2 <= len(self.filters) <= 7:
            raise ValueError("filters: a valid_cnn has 2 to 7 convolutions")
        if not convolutional and self.filters != defaults["filters"].default:
            raise ValueError("filters: only a cnn has convolutions")
        if not convolutional and self.weights == "int8":
            raise ValueError("weights: int8 needs convolutions, and an mlp has none")
        if self.wild and not (self.shift or self.rotation):
            raise ValueError("wild: needs a shift or a rotation above 0")
        if self.clean_share and not self.clean_epochs:
            raise ValueError("clean_share: needs clean_epochs above 0")
        if self.early_stopping and not self.validation_fraction:
            raise ValueError("early_stopping: needs a validation_fraction above 0")
        return self

    @classmethod
    def from_recipe(cls, recipe: str | Path, **flags: Any) -> Self:
        """Reads a recipe by name or path; ``flags`` beat what it says.

        A network of dense layers asked for by a flag has no use for the recipe's filters and int8.

        Raises:
            ConfigError: no such recipe, no TOML, an unknown name or a value out of range.
        """
        path = recipe_path(recipe)
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"recipe {path}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"recipe {path}: not TOML: {error}") from error
        if flags.get("architecture") == "mlp":
            values = {k: v for k, v in values.items() if k not in ("filters", "weights")}
        try:
            return cls(**(values | flags))
        except ValidationError as error:
            raise ConfigError(_one_line(error, f"recipe {path.name}", flags)) from error


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def recipe_path(recipe: str | Path) -> Path:
    """A name without a folder or suffix is one of the package's recipes; the rest are paths."""
    path = Path(recipe)
    if path.suffix == ".toml" or len(path.parts) > 1:
        return path
    if path.name not in recipe_names():
        raise ConfigError(f"no recipe {str(recipe)!r}; there are {', '.join(recipe_names())}")
    return RECIPES / f"{path.name}.toml"


def _one_line(error: ValidationError, recipe: str, flags: dict[str, Any]) -> str:
    """The first thing that is wrong, by the name under which the user gave it."""
    first = error.errors(include_url=False)[0]
    if not first["loc"]:
        return str(first["ctx"]["error"])
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, Config.model_fields, 1)
        return f"{recipe}: unknown setting {name!r}" + (f"; {near[0]}?" if near else "")
    source = f"--{name.replace('_', '-')}" if name in flags else f"{recipe}: {name}"
    message = first["msg"].removeprefix("Input ")
    return f"{source}: {first['input']!r} {message}"
