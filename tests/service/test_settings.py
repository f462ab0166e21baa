"""Where settings come from, and how a wrong variable is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.settings import Settings, SettingsError, read_settings

KUBERNETES = {
    "MNIST_PORT": "tcp://10.0.0.12:8000",
    "MNIST_SERVICE_HOST": "10.0.0.12",
    "MNIST_SERVICE_PORT": "8000",
    "MNIST_SERVICE_PORT_HTTP": "8000",
    "MNIST_PORT_8000_TCP": "tcp://10.0.0.12:8000",
    "MNIST_PORT_8000_TCP_PROTO": "tcp",
    "MNIST_PORT_8000_TCP_PORT": "8000",
    "MNIST_PORT_8000_TCP_ADDR": "10.0.0.12",
    "MNIST_CANARY_SERVICE_HOST": "10.0.0.13",
    "MNIST_CANARY_PORT": "tcp://10.0.0.13:9000",
    "MNIST_CANARY_PORT_9000_TCP_ADDR": "10.0.0.13",
}


def test_without_flags_and_variables_the_defaults_hold() -> None:
    settings = read_settings({}, {"PATH": "/bin", "HOME": "/root"})
    assert settings == Settings()
    assert (settings.models, settings.deadline_s) == (Path("models"), 10)
    assert settings.max_body_bytes == 16 * 1024 * 1024


def test_the_variables_of_kubernetes_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings({}, KUBERNETES) == Settings()
    for name, value in {**KUBERNETES, "MNIST_WORKERS": "2"}.items():
        monkeypatch.setenv(name, value)
    assert read_settings() == Settings(workers=2)


@pytest.mark.parametrize(
    "name", ["MNIST_MAX_IMAGE", "MNIST_", "MNIST_WORKER", "MNIST_SERVICE", "MNIST_MODEL_CONFIG"]
)
def test_an_unknown_variable_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=f"unknown setting {name};"):
        read_settings({}, {name: "1"})


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("port", "http", "valid integer"),
        ("port", "65536", "less than or equal to 65535"),
        ("port", "tcp:/10.0.0.1", "valid integer"),
        ("workers", "0", "greater than or equal to 1"),
        ("provider", "gpu", "'auto', 'cpu' or 'cuda'"),
        ("deadline_s", "0", "greater than 0"),
        ("deadline_s", "nan", "finite number"),
        ("body_timeout_s", "inf", "finite number"),
        ("access_log", "maybe", "valid boolean"),
        ("max_images", "1e3", "valid integer"),
        ("log_level", "", "'debug'"),
        ("store", "mysql://a/b", "is neither none, sqlite:///FILE nor postgresql+psycopg://..."),
        ("capture", "always", "is neither off, doubtful nor a share above 0, up to 1"),
        ("otlp_endpoint", "collector:4318", "a URL is expected"),
        ("otlp_endpoint", "ftp://collector", "a URL is expected"),
        ("capture", "0", "is neither off, doubtful nor a share above 0, up to 1"),
    ],
)
def test_a_wrong_value_is_reported_in_one_line(name: str, value: str, reason: str) -> None:
    variable = f"MNIST_{name.upper()}"
    with pytest.raises(SettingsError) as caught:
        read_settings({}, {variable: value})
    message = str(caught.value)
    assert message.startswith(f"{variable}={value}: ")
    assert message.count(reason) == 1
    assert "\n" not in message


def test_all_wrong_values_are_reported_at_once() -> None:
    with pytest.raises(SettingsError, match=r"MNIST_PORT=x: .*; MNIST_WORKERS=0: "):
        read_settings({}, {"MNIST_PORT": "x", "MNIST_WORKERS": "0"})


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().port = 1  # type: ignore[misc]
