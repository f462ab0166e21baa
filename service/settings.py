"""The settings of the service: what they mean, their ranges, and their environment variables.

An unknown ``MNIST_`` variable stops the start, so that a misspelt limit is never silently the
default. The variables that Kubernetes injects for a Service named ``mnist`` are ignored.
"""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

Provider = Literal["auto", "cpu", "cuda"]
Scope = Literal["predict", "evaluate", "review", "admin", "metrics"]
"""What a caller may ask for; each endpoint needs one scope, or none."""

PREFIX = "MNIST_"
CLIENT_KEY = "MNIST_KEY"
"""The variable with the key of a command that asks a service. It is no setting of the service."""
MIB = 1 << 20

# Kubernetes sets these for every Service in the namespace, with the Service's name in capitals:
# MNIST_SERVICE_HOST, MNIST_SERVICE_PORT[_NAME], MNIST_PORT=tcp://..., MNIST_PORT_8000_TCP[_...].
_KUBERNETES = re.compile(
    r"MNIST_(\w+_)?(PORT=(tcp|udp|sctp)://\S+|SERVICE_(HOST|PORT(_\w+)?)=.*"
    r"|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?=.*)",
    re.DOTALL,
)


def _split(value: Any) -> Any:
    """Splits a list at its commas."""
    if not isinstance(value, str):
        return value
    return tuple(part for each in value.lower().split(",") if (part := each.strip()))


_Host = Annotated[str, Field(pattern=r"^(\*|(\*\.)?[\w.-]+|\[[0-9a-f:.]+\])$")]
_Store = Annotated[str, Field(pattern=r"^(none|sqlite:///[^?]+|postgresql\+psycopg://.+)$")]
STORE_FORM = "is neither none, sqlite:///FILE nor postgresql+psycopg://..."
_FORMS = {"store": STORE_FORM, "capture": "is neither off, doubtful nor a share above 0, up to 1"}
_PASSWORD = re.compile(r"(?<=://)[^/@]*@")
_Origin = Annotated[str, Field(pattern=r"^(\*|[a-z][a-z0-9+.-]*://[^/?#\s]+)$")]
_Share = Annotated[float, Field(gt=0, le=1)]


class SettingsError(Exception):
    """A wrong environment variable; one line has its name, its value and the reason."""


class Settings(BaseModel):
    """The settings, each with its unit, range and default."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for all interfaces")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 for any free port")
    admin_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="port on which alone the scopes admin and metrics are answered; 0 for none",
    )
    tls_cert: Path | None = Field(
        None, description="file with the certificate and its chain, in PEM: speak TLS alone"
    )
    tls_key: Path | None = Field(
        None, description="file with the certificate's key, in PEM; unless set, the same file"
    )
    tls_client_ca: Path | None = Field(
        None,
        description="file with the authorities one of which must have signed a client's "
        "certificate, in PEM",
    )
    grpc_port: int = Field(
        0, ge=0, le=65535, description="port to listen on for gRPC (extra grpc); 0 for none"
    )
    grpc_keep_alive_s: int = Field(
        60, ge=10, description="seconds after which a silent gRPC connection is pinged"
    )
    grpc_connection_age_s: float = Field(
        0.0,
        ge=0,
        description="seconds after which a gRPC client must connect again, so that load spreads; "
        "0 for never",
    )
    workers: int = Field(1, ge=1, le=256, description="number of processes that share the port")
    models: Path = Field(
        Path("models"),
        description="folder of the model repository; the packaged champion if there is no ./models",
    )
    data: Path = Field(
        Path(__file__).resolve().parent.parent / "training" / "mnist",
        description="folder with MNIST's files: the test set for /evaluate?dataset=mnist-test, "
        "the training images for /explain",
    )
    provider: Provider = Field(
        "auto", description="where the model runs; auto: CUDA if it works, else the CPU"
    )

    keys: Path | None = Field(
        None, description="file of keys that `keys add` makes; followed while the service runs"
    )
    open: Annotated[frozenset[Scope] | None, BeforeValidator(_split)] = Field(
        None,
        description="scopes that need no key: predict, evaluate, review, admin, metrics; unless "
        "set, predict,evaluate,metrics without a file of keys, and none with one",
    )
    allowed_hosts: Annotated[tuple[_Host, ...], BeforeValidator(_split)] = Field(
        (),
        description="hosts that callers may name, such as digits.example.com,*.example.org or *; "
        "unless set, loopback names where the service listens on loopback, else all",
    )
    cors_origins: Annotated[tuple[_Origin, ...], BeforeValidator(_split)] = Field(
        (), description="origins whose pages may use the service, such as https://example.org"
    )

    store: _Store | None = Field(
        None,
        description="where feedback and captured answers are kept: none, sqlite:///FILE or "
        "postgresql+psycopg://...; unless set, learning.sqlite in the models folder if writable",
    )
    capture: Literal["off", "doubtful"] | _Share = Field(
        "off", description="answers kept for review: off, doubtful, or a share such as 0.01"
    )
    capture_days: float = Field(30.0, gt=0, description="days after which a kept answer is deleted")
    capture_rows: int = Field(
        100_000,
        ge=1,
        description="most answers kept; feedback stops at as many labels, or 4/5 by one caller",
    )

    batch_rows: int = Field(
        64, ge=1, le=4096, description="largest batch of one execution, in images"
    )
    queue_rows: int = Field(
        20_480,
        ge=1,
        description="most images in the queue; one caller gets 429 above four fifths of it",
    )
    rate: float = Field(
        0.0, ge=0, description="images a second that one caller may have classified; 0: no bound"
    )
    max_loaded: int = Field(3, ge=1, le=64, description="versions in memory, the champion included")
    max_model_bytes: int = Field(
        256 * MIB, ge=1024, description="largest model file in bytes; a larger one is not read"
    )

    max_body_bytes: int = Field(
        16 * MIB, ge=1024, description="largest body in bytes, also after decompression"
    )
    max_evaluate_body_bytes: int = Field(
        96 * MIB, ge=1024, description="largest body of /evaluate in bytes"
    )
    max_waiting_bytes: int = Field(
        512 * MIB,
        ge=1024,
        description="most bytes of large bodies in memory; one caller gets 429 above four fifths",
    )
    max_images: int = Field(4096, ge=1, description="most images in a request")
    max_evaluate_images: int = Field(
        100_000, ge=1, description="most images in a request to /evaluate"
    )
    max_picture_pixels: int = Field(
        64_000_000, ge=784, description="most pixels in a picture, by its header"
    )
    max_picture_bytes: int = Field(
        512 * MIB,
        ge=MIB,
        description="most bytes of pixels in memory; one picture that takes more gets 413",
    )
    max_picture_side: int = Field(16_384, ge=28, description="longest side of a picture, in pixels")

    header_timeout_s: float = Field(
        20.0, gt=0, description="seconds in which the head of a request must arrive"
    )
    body_timeout_s: float = Field(30.0, gt=0, description="seconds in which the body must arrive")
    deadline_s: float = Field(10.0, gt=0, description="seconds after which a request gets 504")
    evaluate_deadline_s: float = Field(
        120.0, gt=0, description="seconds after which a request to /evaluate gets 504"
    )
    keep_alive_s: int = Field(
        75,
        ge=1,
        description="seconds after which an idle connection is closed; set more than the proxy's",
    )
    drain_delay_s: float = Field(
        1.0,
        ge=0,
        description="seconds after SIGTERM in which readiness answers 503 and new requests are "
        "still answered",
    )
    drain_timeout_s: int = Field(
        10, ge=1, description="seconds after that in which running requests can finish"
    )

    access_log: bool = Field(True, description="write one log line for each request")
    otlp_endpoint: str = Field(
        "", description="URL of an OpenTelemetry collector for the spans of sampled requests"
    )
    trace_share: float = Field(
        0.1, ge=0, le=1, description="share of the requests without traceparent that are sampled"
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="form of the log; auto: console on a terminal, else json"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severity that is logged"
    )


def read_settings(
    flags: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None
) -> Settings:
    """Returns the settings of valid ``flags``, which win, and of the ``environment``; or raises."""
    variables = _from_environment(os.environ if environment is None else environment)
    try:
        return Settings(**{**variables, **(flags or {})})
    except ValidationError as error:
        raise SettingsError(explain(error, lambda name: f"{PREFIX}{name.upper()}")) from None


def explain(error: ValidationError, spell: Callable[[str], str]) -> str:
    """Returns one line with every wrong value and its reason; ``spell`` turns a field to a name."""
    lines = list[str]()
    for fault in error.errors():
        field, text = str(fault["loc"][0]), _PASSWORD.sub("...@", str(fault["input"]))
        shown = text if text.isprintable() else repr(text)
        lines.append(f"{spell(field)}={shown}: {_FORMS.get(field, fault['msg'])}")
    return "; ".join(dict.fromkeys(lines))


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    values = {}
    for name, value in environment.items():
        is_foreign = name == CLIENT_KEY or not name.startswith(PREFIX)
        if is_foreign or _KUBERNETES.fullmatch(f"{name}={value}"):
            continue
        key = name.removeprefix(PREFIX).lower()
        if key not in Settings.model_fields:
            raise SettingsError(f"unknown setting {name}; serve --help lists the settings")
        values[key] = value
    return values
