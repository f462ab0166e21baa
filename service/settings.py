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

from service.errors import Explained

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
_Origin = Annotated[str, Field(pattern=r"^(\*|[a-z][a-z0-9+.-]*://[^/?#\s]+)$")]
_Url = Annotated[str, Field(pattern=r"^(https?://[^/?#\s]\S*)?$")]
_Store = Annotated[str, Field(pattern=r"^(none|sqlite:///[^?]+|postgresql\+psycopg://.+)$")]
STORE_FORM = "is neither none, sqlite:///FILE nor postgresql+psycopg://..."
_FORMS = {
    "store": STORE_FORM,
    "otlp_endpoint": "a URL is expected, such as http://127.0.0.1:4318",
    "capture": "is neither off, doubtful nor a share above 0, up to 1",
    "allowed_hosts": "a host without a scheme is expected, such as digits.example.com",
    "cors_origins": "an origin is expected, such as https://example.org",
}
_PASSWORD = re.compile(r"(?<=://)[^/@]*@")
_Share = Annotated[float, Field(gt=0, le=1)]
_Port = Annotated[int, Field(ge=0, le=65535)]
_Count = Annotated[int, Field(ge=1)]
_Bytes = Annotated[int, Field(ge=1024)]
_Seconds = Annotated[float, Field(gt=0)]


class SettingsError(Explained):
    """A wrong environment variable; one line has its name, its value and the reason."""


def _set(default: Any, description: str, **bounds: Any) -> Any:
    return Field(default, description=description, **bounds)


class Settings(BaseModel):
    """The settings, each with its unit, range and default."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    host: str = _set("127.0.0.1", "address to listen on; 0.0.0.0 for all interfaces")
    port: _Port = _set(8000, "port to listen on; 0 for any free port")
    admin_port: _Port = _set(0, "port on which alone admin and metrics are served; 0 for none")
    tls_cert: Path | None = _set(None, "file with the certificate and its chain: speak TLS alone")
    tls_key: Path | None = _set(None, "file with the certificate's key; unless set, the same file")
    tls_client_ca: Path | None = _set(
        None, "file with the authorities one of which must have signed a client's certificate"
    )
    grpc_port: _Port = _set(0, "port to listen on for gRPC (extra grpc); 0 for none")
    grpc_keep_alive_s: int = _set(60, "seconds until a silent gRPC connection is pinged", ge=10)
    grpc_connection_age_s: float = _set(
        0.0, "seconds until a gRPC client must connect again, so that load spreads; 0: never", ge=0
    )
    workers: _Count = _set(1, "number of processes that share the port", le=256)
    models: Path = _set(Path("models"), "model repository; without ./models the packaged champion")
    data: Path = _set(
        Path(__file__).resolve().parent.parent / "training" / "mnist",
        "folder with MNIST's files: the test set for /evaluate?dataset=mnist-test, "
        "the training images for /explain",
    )
    provider: Provider = _set("auto", "where the model runs; auto: CUDA if it works, else the CPU")

    keys: Path | None = _set(None, "file of keys that `keys add` makes; followed while it serves")
    open: Annotated[frozenset[Scope] | None, BeforeValidator(_split)] = _set(
        None,
        "scopes that need no key, of predict, evaluate, review, admin, metrics; unless set, "
        "predict,evaluate,metrics without a file of keys, and none with one",
    )
    allowed_hosts: Annotated[tuple[_Host, ...], BeforeValidator(_split)] = _set(
        (),
        "hosts that callers may name, such as digits.example.com,*.example.org or *; "
        "unless set, loopback names where the service listens on loopback, else all",
    )
    cors_origins: Annotated[tuple[_Origin, ...], BeforeValidator(_split)] = _set(
        (), "origins whose pages may use the service, such as https://example.org"
    )

    store: _Store | None = _set(
        None,
        "where feedback and captured answers are kept: none, sqlite:///FILE or "
        "postgresql+psycopg://...; unless set, learning.sqlite in the models folder if writable",
    )
    capture: Literal["off", "doubtful"] | _Share = _set(
        "off", "answers kept for review: off, doubtful, or a share such as 0.01"
    )
    capture_days: _Seconds = _set(30.0, "days after which a kept answer is deleted")
    capture_rows: _Count = _set(
        100_000, "most answers kept; feedback stops at as many labels, or 4/5 by one caller"
    )

    batch_rows: _Count = _set(64, "largest batch of one execution, in images", le=4096)
    queue_rows: _Count = _set(
        20_480, "most images in the queue; one caller gets 429 above four fifths of it"
    )
    rate: float = _set(0.0, "images a second that one caller may send; 0: no bound", ge=0)
    max_loaded: _Count = _set(3, "versions in memory, the champion included", le=64)
    max_model_bytes: _Bytes = _set(256 * MIB, "largest model file that is read, in bytes")

    max_body_bytes: _Bytes = _set(16 * MIB, "largest body in bytes, also after decompression")
    max_evaluate_body_bytes: _Bytes = _set(96 * MIB, "largest body of /evaluate in bytes")
    max_waiting_bytes: _Bytes = _set(
        512 * MIB, "most bytes of large bodies in memory; one caller gets 429 above four fifths"
    )
    max_images: _Count = _set(4096, "most images in a request")
    max_evaluate_images: _Count = _set(100_000, "most images in a request to /evaluate")
    max_picture_pixels: int = _set(64_000_000, "most pixels in a picture, by its header", ge=784)
    max_picture_bytes: int = _set(
        512 * MIB, "most bytes of pixels in memory; one picture that takes more gets 413", ge=MIB
    )
    max_picture_side: int = _set(16_384, "longest side of a picture, in pixels", ge=28)

    header_timeout_s: _Seconds = _set(20.0, "seconds in which the head of a request must arrive")
    body_timeout_s: _Seconds = _set(30.0, "seconds in which the body must arrive")
    deadline_s: _Seconds = _set(10.0, "seconds after which a request gets 504")
    evaluate_deadline_s: _Seconds = _set(120.0, "seconds after which /evaluate gets 504")
    keep_alive_s: _Count = _set(
        75, "seconds after which an idle connection is closed; set more than the proxy's"
    )
    drain_delay_s: float = _set(
        1.0, "seconds after SIGTERM in which readiness is 503 and new requests are answered", ge=0
    )
    drain_timeout_s: _Count = _set(10, "seconds after that in which running requests can finish")

    access_log: bool = _set(True, "write one log line for each request")
    otlp_endpoint: _Url = _set("", "OpenTelemetry collector's URL, for spans of sampled requests")
    trace_share: float = _set(
        0.1, "share of the requests without traceparent that are sampled", ge=0, le=1
    )
    log_format: Literal["auto", "json", "console"] = _set(
        "auto", "form of the log; auto: console on a terminal, else json"
    )
    log_level: Literal["debug", "info", "warning", "error"] = _set("info", "least severity logged")


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
