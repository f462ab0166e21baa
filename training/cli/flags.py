"""The command line of ``train``: a flag for each setting of ``training.config``, and a few more."""

import argparse
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from service.cli.parser import Parser, add_models, add_version, default_store, version_number
from service.cli.parser import parse as parse_line
from training.config import Config, Options, recipe_names
from training.errors import TrainingError
from training.measure.compare import MARGIN
from training.network import checkpoint

DEFAULT_RECIPE = {"mlp": "tutorial"}  # by architecture; the others have "default"


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
    found["checkpoints"] = found["checkpoints"] or checkpoint.place(found["models"])
    try:
        config = Config.from_recipe(found["recipe"], **settings)
    except TrainingError as error:
        parser.error(str(error))
    if not 0 < found["margin"] <= 1:
        parser.error("--margin: a share above 0 and up to 1 is expected, such as 0.002")
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
    _add_many(parser)
    parser.add_argument("--force", action="store_true")
    return parser.parse_known_args(arguments)[1]


def _seeds(text: str) -> tuple[int, ...]:
    """Converts ``0..4`` or ``0,3,7``."""
    first, _, last = text.partition("..")
    try:
        seeds = range(int(first), int(last) + 1) if last else map(int, text.split(","))
        found = tuple(dict.fromkeys(seeds))
    except ValueError:
        found = ()
    if not found or min(found) < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 0..4 or 0,3,7")
    return found


def _add_many(parser: argparse._ActionsContainer) -> None:
    """Adds the flags for many runs."""
    text = "train these seeds side by side, such as 0..4, and put the best before the gate"
    parser.add_argument("--seeds", type=_seeds, default=(), metavar="N..M", help=text)
    text = "search the settings that a TOML file names, and write the best as a recipe"
    parser.add_argument("--search", type=Path, metavar="FILE", help=text)
    text = "where many runs run: processes of this machine, or Ray (default: local)"
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help=text)
    text = "the cluster of Ray: HOST:PORT, ray://HOST:PORT or auto (default: one on this machine)"
    parser.add_argument("--address", help=text)
    text = "how many run at once (default: one for each core, all on Ray)"
    parser.add_argument("--workers", type=version_number, metavar="N", help=text)


def _parser() -> Parser:
    parser = Parser(
        prog="train",
        description="Trains a digit classifier, verifies its ONNX export, publishes it as a new "
        "version and promotes it if it passes the gate.",
        allow_abbrev=False,
    )
    text = (
        f"settings to start from: {', '.join(recipe_names())}, or a TOML file "
        "(default: default, or tutorial with --architecture mlp)"
    )
    add_version(parser)
    parser.add_argument("--recipe", metavar="NAME|PATH", help=text)
    _add_places(parser)
    many = "many runs at once, each as it would be alone"
    _add_many(parser.add_argument_group("many runs", many))
    one = parser.add_mutually_exclusive_group()
    text = "publish the version without promoting it"
    one.add_argument("--no-promote", dest="promote", action="store_false", help=text)
    text = "promote the version even if the gate rejects it"
    one.add_argument("--force", action="store_true", help=text)
    text = "how much less accurate than the champion a version may be (default: %(default)s)"
    parser.add_argument("--margin", type=float, default=MARGIN, metavar="SHARE", help=text)
    settings = parser.add_argument_group(
        "settings", "A flag overrides the recipe. In brackets: the value in the recipe default."
    )
    shown = Config.from_recipe("default")
    for name, field in Config.model_fields.items():
        _add_setting(settings, name, field, getattr(shown, name))
    return parser


def _add_places(parser: argparse.ArgumentParser) -> None:
    """Adds the flags for what the run reads and writes."""
    text = "a folder of IDX files, plain or gzip, or an .npz (default: the MNIST of the package)"
    parser.add_argument("--data", type=Path, metavar="PATH", help=text)
    add_models(parser)
    text = (
        "learn from what people labelled too: the URL of the service's store (default: MNIST_STORE)"
    )
    parser.add_argument("--feedback", nargs="?", const="", metavar="URL", help=text)
    text = "continue an interrupted run with the same settings and data after its last whole epoch"
    parser.add_argument("--resume", action="store_true", help=text)
    text = (
        "where a run stores what --resume needs, until it has published "
        "(default: .checkpoints in the model repository)"
    )
    parser.add_argument("--checkpoints", type=Path, metavar="DIR", help=text)
    text = "write loss, accuracy and learning rate for TensorBoard, in a subfolder for the run"
    parser.add_argument("--tensorboard", type=Path, metavar="DIR", help=text)


def _add_setting(group: argparse._ArgumentGroup, name: str, field: FieldInfo, shown: Any) -> None:
    """Adds the flag of one field; argparse parses the value, pydantic checks its range."""
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
