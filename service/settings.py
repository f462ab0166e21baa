"""Every knob of the service, read in one place: environment ``MNIST_*``, and flags that beat it.

A name that is not a setting stops the start and is named, so that a misspelt limit is never
silently the default. What Kubernetes injects for a Service called ``mnist`` is told apart.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

Provider = Literal["auto", "cpu", "cuda"]

PREFIX = "MNIST_"
MIB = 1 << 20

# Kubernetes sets these for every Service in the namespace, named after it in capitals:
# MNIST_SERVICE_HOST, MNIST_SERVICE_PORT[_NAME], MNIST_PORT=tcp://..., MNIST_PORT_8000_TCP[_...].
_KUBERNETES_NAME = re.compile(
    r"MNIST_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_KUBERNETES_PORT = re.compile(r"MNIST_(\w+_)?PORT")
_KUBERNETES_ADDRESS = re.compile(r"(tcp|udp|sctp)://\S+")


class SettingsError(Exception):
    """A setting that cannot be used; one line names it, its value and what is wrong."""


class Settings(BaseSettings):
    """The settings, each with its unit, range and default."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, allow_inf_nan=False
    )

    host: str = Field(default="127.0.0.1", description="address to listen on; 0.0.0.0 for all")
    port: int = Field(
        default=8000, ge=0, le=65535, description="port to listen on; 0 for any free one"
    )
    workers: int = Field(default=1, ge=1, le=256, description="processes that share the port")
    models: Path = Field(default=Path("models"), description="the model repository")
    data: Path = Field(
        default=Path(__file__).resolve().parent.parent / "training" / "mnist",
        description="folder with MNIST's test files, for /evaluate?dataset=mnist-test",
    )
    provider: Provider = Field(default="auto", description="what runs the model")

    batch_rows: int = Field(
        default=64, ge=1, le=4096, description="largest batch in one run, in images"
    )
    queue_rows: int = Field(
        default=16_384, ge=1, description="images waiting before requests get 429"
    )
    max_loaded: int = Field(
        default=3, ge=1, le=64, description="versions kept loaded, champion included"
    )

    max_body_bytes: int = Field(
        default=16 * MIB, ge=1024, description="largest body in bytes, also after decompression"
    )
    max_evaluate_body_bytes: int = Field(
        default=96 * MIB, ge=1024, description="the same for /evaluate"
    )
    max_waiting_bytes: int = Field(
        default=512 * MIB, ge=1024, description="bytes of large bodies held before requests get 429"
    )
    max_images: int = Field(default=4096, ge=1, description="most images in a request")
    max_evaluate_images: int = Field(default=100_000, ge=1, description="the same for /evaluate")
    max_picture_pixels: int = Field(
        default=64_000_000, ge=784, description="most pixels in a picture, from its header"
    )
    max_picture_side: int = Field(
        default=16_384, ge=28, description="longest side of a picture, in pixels"
    )

    header_timeout_s: float = Field(
        default=20.0, gt=0, description="seconds in which the request's head must arrive"
    )
    body_timeout_s: float = Field(
        default=30.0, gt=0, description="seconds in which the body must arrive"
    )
    deadline_s: float = Field(
        default=10.0, gt=0, description="seconds after which a request gets 504"
    )
    evaluate_deadline_s: float = Field(default=120.0, gt=0, description="the same for /evaluate")
    keep_alive_s: int = Field(
        default=75, ge=1, description="seconds an idle connection is kept; more than the proxy's"
    )
    drain_delay_s: float = Field(
        default=1.0,
        ge=0,
        description="seconds after SIGTERM in which readiness is 503 and all is served",
    )
    drain_timeout_s: int = Field(
        default=10, ge=1, description="seconds in which running requests may then finish"
    )

    access_log: bool = Field(default=True, description="one log line a request")
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="auto: console on a terminal, else json"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least severity that is logged"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is passed; :func:`read_settings` knows what of the environment counts."""
        return (init_settings,)


def read_settings(
    arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None
) -> Settings:
    """The settings from command-line ``arguments`` and the ``environment``.

    Raises :class:`SettingsError` for an unknown ``MNIST_`` name or a bad value. Wrong flags print
    a usage line and exit with status 2, as argparse does.
    """
    flags = {k: v for k, v in vars(_parser().parse_args(arguments)).items() if v is not None}
    values = {**_from_environment(os.environ if environment is None else environment), **flags}
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsError(_explain(error, flags)) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="serve",
        allow_abbrev=False,
        description="Serves the champion of a model repository over HTTP.",
        epilog=f"Every flag is also an environment variable: --max-images is {PREFIX}MAX_IMAGES.",
    )
    for name, field in Settings.model_fields.items():
        flag = f"--{name.replace('_', '-')}"
        default = field.default
        text = f"{field.description} (default: {_shown(default)})"
        if field.annotation is bool:
            parser.add_argument(
                flag, action=argparse.BooleanOptionalAction, default=None, help=text
            )
        else:
            literal = get_origin(field.annotation) is Literal
            choices = "|".join(get_args(field.annotation)) if literal else None
            parser.add_argument(flag, metavar=choices or name.split("_")[-1].upper(), help=text)
    return parser


def _shown(default: Any) -> str:
    if isinstance(default, Path) and default.is_absolute():
        return "the repository's training/mnist"
    if isinstance(default, bool):
        return "on" if default else "off"
    return str(default)


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    values = {}
    for name, value in environment.items():
        if not name.startswith(PREFIX) or _is_from_kubernetes(name, value):
            continue
        key = name.removeprefix(PREFIX).lower()
        if key not in Settings.model_fields:
            raise SettingsError(f"unknown setting {name}; see serve --help for those there are")
        values[key] = value
    return values


def _is_from_kubernetes(name: str, value: str) -> bool:
    if _KUBERNETES_NAME.fullmatch(name):
        return True
    return bool(_KUBERNETES_PORT.fullmatch(name) and _KUBERNETES_ADDRESS.fullmatch(value))


def _explain(error: ValidationError, flags: Mapping[str, Any]) -> str:
    lines = []
    for item in error.errors():
        key = str(item["loc"][0])
        name = f"--{key.replace('_', '-')}" if key in flags else f"{PREFIX}{key.upper()}"
        lines.append(f"{name}={item['input']}: {item['msg']}")
    return "; ".join(lines)
