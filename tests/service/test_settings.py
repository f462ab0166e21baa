"""Where settings come from, which wins, and how a wrong one is told."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
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


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_without_flags_and_environment_the_defaults_stand() -> None:
    settings = read_settings([], {"PATH": "/bin", "HOME": "/root"})
    assert settings == Settings()
    assert settings.max_body_bytes == 16 * 1024 * 1024
    assert settings.max_evaluate_body_bytes == 96 * 1024 * 1024
    assert settings.max_images == 4096
    assert settings.max_evaluate_images == 100_000
    assert settings.max_picture_pixels == 64_000_000
    assert settings.max_picture_side == 16_384
    assert settings.body_timeout_s == 30
    assert (settings.deadline_s, settings.evaluate_deadline_s) == (10, 120)
    assert settings.models == Path("models")


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_every_setting_is_read_from_its_flag_and_from_the_environment(name: str) -> None:
    changed = {"host": "0.0.0.0", "provider": "cpu", "log_format": "console", "log_level": "error"}
    default = Settings.model_fields[name].default
    if isinstance(default, bool):
        value: object = not default
    elif isinstance(default, int | float):
        value = default + 1
    else:
        value = changed.get(name, "elsewhere")
    from_environment = read_settings([], {f"MNIST_{name.upper()}": _text(value)})
    flag = f"--{name.replace('_', '-')}"
    arguments = [f"--no-{flag[2:]}"] if value is False else [flag, _text(value)]
    from_flag = read_settings(arguments, {})
    for settings in (from_environment, from_flag):
        assert str(getattr(settings, name)) == str(type(default)(value))
        assert settings.model_copy(update={name: default}) == Settings()


def test_a_flag_beats_the_environment() -> None:
    environment = {"MNIST_PORT": "1111", "MNIST_WORKERS": "3", "MNIST_ACCESS_LOG": "false"}
    settings = read_settings(["--port", "2222", "--access-log"], environment)
    assert (settings.port, settings.workers, settings.access_log) == (2222, 3, True)


def test_what_kubernetes_injects_is_told_apart_from_settings() -> None:
    assert read_settings([], KUBERNETES) == Settings()


def test_the_process_own_environment_is_read_like_any_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in KUBERNETES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MNIST_WORKERS", "2")
    assert read_settings([]) == Settings(workers=2)


@pytest.mark.parametrize(
    "name", ["MNIST_MAX_IMAGE", "MNIST_", "MNIST_WORKER", "MNIST_SERVICE", "MNIST_MODEL_CONFIG"]
)
def test_an_unknown_name_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=f"unknown setting {name};"):
        read_settings([], {name: "1"})


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
    ],
)
def test_a_bad_value_is_told_in_one_line(name: str, value: str, reason: str) -> None:
    variable = f"MNIST_{name.upper()}"
    with pytest.raises(SettingsError) as caught:
        read_settings([], {variable: value})
    told = str(caught.value)
    assert told.startswith(f"{variable}={value}: ")
    assert reason in told
    assert "\n" not in told


def test_a_bad_flag_is_told_by_its_own_name() -> None:
    with pytest.raises(SettingsError, match=r"--max-images=none: .*valid integer"):
        read_settings(["--max-images", "none"], {"MNIST_MAX_IMAGES": "5"})


def test_all_bad_values_are_told_at_once() -> None:
    with pytest.raises(SettingsError, match=r"MNIST_PORT=x: .*; MNIST_WORKERS=0: "):
        read_settings([], {"MNIST_PORT": "x", "MNIST_WORKERS": "0"})


@pytest.mark.parametrize(
    "arguments", [["--unknown"], ["surplus"], ["--port"], ["--no-port"], ["--max-image", "5"]]
)
def test_wrong_usage_ends_with_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        read_settings(arguments, {})
    assert caught.value.code == 2
    assert "usage: serve" in capsys.readouterr().err


def test_settings_do_not_change_once_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().port = 1


def test_help_lists_every_flag_and_loads_nothing_that_serves() -> None:
    program = (
        "import atexit, json, sys\n"
        "from service.__main__ import main\n"
        "atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))\n"
        "main(['--help'])"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    # Time on the processor, since the machine may have other things to do.
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 1.0
    for name in Settings.model_fields:
        assert f"--{name.replace('_', '-')}" in done.stdout
    loaded = set(json.loads(done.stderr))
    assert not loaded & {"numpy", "onnxruntime", "fastapi", "uvicorn", "tensorflow"}
