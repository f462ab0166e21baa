"""The command line of ``train``: one flag for each knob of the settings, and a few of the run."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from service.cli.parser import Parser, add_models, add_version
from service.cli.parser import parse as parse_line
from training.config import Config, ConfigError, recipe_names
from training.network import checkpoint

DEFAULT_RECIPE = {"mlp": "tutorial"}  # of a network; the others have "default"


@dataclass(frozen=True, slots=True)
class Command:
    """What the user asked for."""

    config: Config
    recipe: str
    data: Path | None
    models: Path
    resume: bool
    checkpoints: Path
    tensorboard: Path | None
    promote: bool
    force: bool
    tolerance: float


def parse(arguments: list[str] | None = None) -> Command:
    """Reads the command line; ends with status 2 and one line where it cannot be used."""
    parser = _parser()
    options = vars(parse_line(parser, arguments))
    knobs = {name: options[name] for name in Config.model_fields if name in options}
    recipe = options["recipe"] or DEFAULT_RECIPE.get(knobs.get("architecture", ""), "default")
    try:
        config = Config.from_recipe(recipe, **knobs)
    except ConfigError as error:
        parser.error(str(error))
    if not 0 <= options["tolerance"] <= 1:
        parser.error("--tolerance: a share from 0 to 1 is expected, such as 0.001")
    return Command(
        config=config,
        recipe=recipe,
        data=options["data"],
        models=options["models"],
        resume=options["resume"],
        checkpoints=options["checkpoints"] or checkpoint.place(options["models"]),
        tensorboard=options["tensorboard"],
        promote=options["promote"],
        force=options["force"],
        tolerance=options["tolerance"],
    )


def _parser() -> Parser:
    parser = Parser(
        prog="train",
        description="Trains a digit classifier, proves its ONNX export, publishes it as a new "
        "version and promotes it if it is good enough.",
        allow_abbrev=False,
    )
    told = (
        f"settings to begin with: {', '.join(recipe_names())}, or a TOML file "
        "(default: default, or tutorial with --architecture mlp)"
    )
    add_version(parser)
    parser.add_argument("--recipe", metavar="NAME|PATH", help=told)
    _add_places(parser)
    _add_promotion(parser)
    knobs = parser.add_argument_group(
        "settings", "They beat the recipe. In brackets: their values in the recipe default."
    )
    shown = Config.from_recipe("default")
    for name, field in Config.model_fields.items():
        _add_knob(knobs, name, field, getattr(shown, name))
    return parser


def _add_places(parser: argparse.ArgumentParser) -> None:
    """Adds what the run reads and writes."""
    told = "a folder of IDX files, plain or gzip, or an .npz (default: MNIST, which comes along)"
    parser.add_argument("--data", type=Path, metavar="PATH", help=told)
    add_models(parser)
    told = (
        "go on after the last whole epoch of a run that was stopped, where there is one with the "
        "same settings and data"
    )
    parser.add_argument("--resume", action="store_true", help=told)
    told = (
        "where a run keeps what --resume needs until it has published "
        "(default: .checkpoints in the model repository)"
    )
    parser.add_argument("--checkpoints", type=Path, metavar="DIR", help=told)
    told = (
        "write the curves of loss, accuracy and learning rate for TensorBoard, in a folder for the "
        "run"
    )
    parser.add_argument("--tensorboard", type=Path, metavar="DIR", help=told)


def _add_promotion(parser: argparse.ArgumentParser) -> None:
    """Adds what decides whether the version serves."""
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--no-promote", dest="promote", action="store_false", help="publish only")
    told = "promote even a version that is worse"
    one.add_argument("--force", action="store_true", help=told)
    told = "promote up to so much less test accuracy than the champion's (default: 0)"
    parser.add_argument("--tolerance", type=float, default=0.0, metavar="SHARE", help=told)


def _add_knob(group: argparse._ArgumentGroup, name: str, field: FieldInfo, shown: Any) -> None:
    """Adds the flag of one field; pydantic checks its range, argparse its form."""
    kind = field.annotation
    choices = f": {', '.join(get_args(kind))}" if get_origin(kind) is Literal else ""
    text = " ".join(map(str, shown)) or "none" if isinstance(shown, tuple) else str(shown)
    options: dict[str, Any] = {
        "default": argparse.SUPPRESS,
        "help": f"{field.description}{choices} [{text}]".replace("%", "%%"),
    }
    if kind is bool:
        options["action"] = argparse.BooleanOptionalAction
        options["help"] = options["help"].replace("True", "yes").replace("False", "no")
    elif get_origin(kind) is Literal:
        options.update(choices=get_args(kind), metavar="NAME")
    elif get_origin(kind) is tuple:
        options.update(type=int, nargs="*", metavar="N")
    else:
        options.update(type=kind, metavar="N" if kind is int else "X")
    group.add_argument(f"--{name.replace('_', '-')}", **options)
