"""The command line of ``train``: a flag for each setting of ``training.config``, and a few more."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from service.cli.parser import Parser, add_models, add_version, default_store, version_number
from service.cli.parser import parse as parse_line
from service.models.repository import NAME
from training.config import Config, Options, recipe_names
from training.errors import TrainingError

DEFAULT_RECIPE = {"mlp": "tutorial"}  # by architecture; the others have "default"


def seeds(text: str) -> tuple[int, ...]:
    """Converts ``0..4`` or ``0,3,7``; else raises ValueError."""
    first, _, last = text.partition("..")
    found = range(int(first), int(last) + 1) if last else sorted(set(map(int, text.split(","))))
    if not found or found[0] < 0:
        raise ValueError(text)
    return tuple(found)


_RECIPE = (
    f"settings to start from: {', '.join(recipe_names())}, or a TOML file "
    "(default: default, or tutorial with --architecture mlp)"
)
_FEEDBACK = "learn from labels in use: the URL of a service's store (default: MNIST_STORE)"
_CHECKPOINTS = "folder of what --resume needs (default: .checkpoints in the model repository)"
_SEEDS = "train these seeds side by side, such as 0..4, and put the best before the gate"
_ONE: Mapping[str, dict[str, Any]] = {
    "--recipe": {"metavar": "NAME|PATH", "help": _RECIPE},
    "--data": {"type": Path, "metavar": "PATH", "help": "IDX files or an .npz (default: MNIST)"},
    "--feedback": {"nargs": "?", "const": "", "metavar": "URL", "help": _FEEDBACK},
    "--resume": {"action": "store_true", "help": "go on after the last epoch of a stopped run"},
    "--checkpoints": {"type": Path, "metavar": "DIR", "help": _CHECKPOINTS},
}
_MANY: Mapping[str, dict[str, Any]] = {
    "--seeds": {"type": seeds, "default": (), "metavar": "N..M", "help": _SEEDS},
    "--search": {"type": Path, "metavar": "FILE", "help": "search the settings of a TOML file"},
    "--engine": {"choices": ("local", "ray"), "default": "local", "help": "processes here, or Ray"},
    "--address": {"help": "Ray's cluster: HOST:PORT or ray://HOST:PORT (default: this machine)"},
    "--workers": {"type": version_number, "metavar": "N", "help": "how many run at once"},
}


def parse(arguments: list[str] | None = None) -> Options:
    """Parses the command line; exits with status 2 and one line on wrong usage."""
    parser = _parser()
    found = vars(parse_line(parser, arguments))
    settings = {name: found.pop(name) for name in Config.model_fields if name in found}
    default = DEFAULT_RECIPE.get(settings.get("architecture", ""), "default")
    found["recipe"] = found["recipe"] or default
    url = found.pop("feedback")
    found["store"] = url or default_store(found["models"])
    found |= {"feedback": url is not None, "seed_given": "seed" in settings}
    found["checkpoints"] = found["checkpoints"] or found["models"] / NAME / ".checkpoints"
    try:
        config = Config.from_recipe(found["recipe"], **settings)
    except TrainingError as error:
        parser.error(str(error))
    if found["feedback"] and found["store"] == "none":
        parser.error("--feedback: no store is named; give its URL, or set MNIST_STORE")
    many = [name for name in ("seeds", "search", "feedback") if found[name]]
    if len(many) > 1:
        parser.error(f"--{many[0]} and --{many[1]} exclude each other")
    if not (found["seeds"] or found["search"]) and (found["workers"] or found["engine"] != "local"):
        parser.error("--engine and --workers are for --seeds and --search")
    return Options(config=config, **found)


def words_of_one(arguments: list[str]) -> list[str]:
    """Returns the command line of one of many runs: without what belongs to all of them."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    _add(parser, _MANY)
    parser.add_argument("--force", action="store_true")
    return parser.parse_known_args(arguments)[1]


def _add(parser: argparse._ActionsContainer, arguments: Mapping[str, dict[str, Any]]) -> None:
    for name, options in arguments.items():
        parser.add_argument(name, **options)


def _parser() -> Parser:
    text = (
        "Trains a digit classifier, verifies its ONNX export, publishes it as a new "
        "version and promotes it if it passes the gate."
    )
    parser = Parser(prog="train", description=text, allow_abbrev=False)
    add_version(parser)
    add_models(parser)
    _add(parser, _ONE)
    _add(parser.add_argument_group("many runs", "each as it would be alone"), _MANY)
    one = parser.add_mutually_exclusive_group()
    text = "publish the version without promoting it"
    one.add_argument("--no-promote", dest="promote", action="store_false", help=text)
    text = "promote the version even if the gate rejects it"
    one.add_argument("--force", action="store_true", help=text)
    settings = parser.add_argument_group(
        "settings", "A flag overrides the recipe. In brackets: the value in the recipe default."
    )
    shown = Config.from_recipe("default")
    for name, field in Config.model_fields.items():
        _add_setting(settings, name, field, getattr(shown, name))
    return parser


def _add_setting(group: argparse._ArgumentGroup, name: str, field: FieldInfo, shown: Any) -> None:
    kind, form = field.annotation, get_origin(field.annotation)
    choices = f": {', '.join(get_args(kind))}" if form is Literal else ""
    text = " ".join(map(str, shown)) or "none" if isinstance(shown, tuple) else str(shown)
    help_text = f"{field.description}{choices} [{text}]".replace("%", "%%")
    options: dict[str, Any] = {"type": kind, "metavar": "N" if kind is int else "X"}
    if kind is bool:
        options = {"action": argparse.BooleanOptionalAction}
        help_text = help_text.replace("True", "yes").replace("False", "no")
    elif form is Literal:
        options = {"choices": get_args(kind), "metavar": "NAME"}
    elif form is tuple:
        options = {"type": int, "nargs": "*", "metavar": "N"}
    flag = f"--{name.replace('_', '-')}"
    group.add_argument(flag, default=argparse.SUPPRESS, help=help_text, **options)
