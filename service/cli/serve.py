"""The flags of ``serve``: one for each setting."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError

from service.cli.parser import Parser, add_version, parse
from service.settings import PREFIX, Settings, explain, read_settings

_KSERVE = {
    "--model_name": "model_name",
    "--model_dir": "models",
    "--http_port": "port",
    "--grpc_port": "grpc_port",
}
"""What KServe passes to its own runtimes, and the setting that it sets."""


def parse_settings(
    arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None
) -> Settings:
    """Returns the settings; flags win. Raises :class:`~service.settings.SettingsError`."""
    parser = _parser()
    options = vars(parse(parser, arguments))
    del options["model_name"]  # the model is called mnist, whatever KServe calls its service
    flags = {name: value for name, value in options.items() if value is not None}
    try:
        Settings(**flags)
    except ValidationError as error:
        parser.error(explain(error, _flag))
    return read_settings(flags, environment)


def _parser() -> Parser:
    parser = Parser(
        prog="serve",
        allow_abbrev=False,
        description="Serves the champion of a model repository over HTTP.",
        epilog="Every flag is also an environment variable: "
        f"{_flag('max_images')} is {PREFIX}MAX_IMAGES. The flag wins.",
    )
    add_version(parser)
    for name, field in Settings.model_fields.items():
        # pydantic converts and checks the value.
        options: dict[str, Any] = {"metavar": name.rsplit("_", maxsplit=1)[-1].upper()}
        if field.annotation is bool:
            options = {"action": argparse.BooleanOptionalAction}
        elif get_origin(field.annotation) is Literal:
            options = {"choices": get_args(field.annotation)}
        elif field.annotation in {Path, Path | None}:
            options = {"metavar": "PATH"}
        text = f"{field.description} (default: {_shown(field.default)})"
        parser.add_argument(_flag(name), default=None, help=text, **options)
    for flag, setting in _KSERVE.items():
        parser.add_argument(flag, dest=setting, help=argparse.SUPPRESS)
    return parser


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _shown(default: Any) -> str:
    if isinstance(default, Path) and default.is_absolute():
        return "training/mnist beside the code"
    if default is None or isinstance(default, bool):
        return {None: "none", True: "on", False: "off"}[default]
    return str(default) if default != () else "not set"
