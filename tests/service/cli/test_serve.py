"""Every setting has a flag, and a wrong flag ends the program before anything is loaded."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from service.cli.serve import parse_settings
from service.settings import Settings


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_every_setting_has_a_flag_and_a_variable(name: str) -> None:
    changed = {"host": "0.0.0.0", "provider": "cpu", "log_format": "console", "log_level": "error"}
    changed |= {"open": "predict", "cors_origins": "https://example.org", "trace_share": "0.5"}
    changed |= {"store": "none", "capture": "doubtful", "otlp_endpoint": "http://collector:4318"}
    default = Settings.model_fields[name].default
    if isinstance(default, bool):
        value: object = not default
    elif isinstance(default, int | float) and name not in changed:
        value = default + 1
    else:
        value = changed.get(name, "elsewhere")
    from_environment = parse_settings([], {f"MNIST_{name.upper()}": _text(value)})
    flag = f"--{name.replace('_', '-')}"
    arguments = [f"--no-{flag[2:]}"] if value is False else [flag, _text(value)]
    for settings in (from_environment, parse_settings(arguments, {})):
        read = getattr(settings, name)
        assert read == getattr(Settings.model_validate({name: value}), name)
        assert read != default
        assert settings.model_copy(update={name: default}) == Settings()


def test_a_flag_wins_over_its_variable() -> None:
    environment = {"MNIST_PORT": "1111", "MNIST_WORKERS": "3", "MNIST_ACCESS_LOG": "false"}
    settings = parse_settings(["--port", "2222", "--access-log"], environment)
    assert (settings.port, settings.workers, settings.access_log) == (2222, 3, True)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("--unknown", "unrecognized arguments: --unknown"),
        ("surplus", "unrecognized arguments: surplus"),
        ("--port", "expected one argument"),
        ("--no-port", "unrecognized arguments: --no-port"),
        ("--max-image 5", "unrecognized arguments: --max-image"),
        ("--provider gpu", "invalid choice: 'gpu'"),
        ("--max-images none --port x", "--port=x: Input should be a valid integer"),
        ("--max-images none --port x", "--max-images=none: Input should be a valid integer"),
    ],
)
def test_a_wrong_flag_is_one_line_and_status_2(
    arguments: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_settings(arguments.split(), {"MNIST_MAX_IMAGES": "5"})
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("serve: ")
    assert reason in message
    assert message.endswith(" (see serve --help)\n")
    assert message.count("\n") == 1


def test_help_lists_every_flag_and_loads_no_server() -> None:
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
    # Processor time: other programs can delay the wall clock.
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 1.0
    for name in Settings.model_fields:
        assert f"--{name.replace('_', '-')}" in done.stdout
    loaded = set(json.loads(done.stderr))
    unwanted = {"numpy", "onnxruntime", "fastapi", "uvicorn", "tensorflow", "argcomplete"}
    assert not loaded & unwanted


def test_the_arguments_that_kserve_passes_to_its_runtimes_are_understood() -> None:
    words = ["--model_name=digits", "--model_dir=/mnt/models", "--http_port=8080"]
    settings = parse_settings([*words, "--grpc_port", "9000"], {})
    assert (settings.models, settings.port, settings.grpc_port) == (Path("/mnt/models"), 8080, 9000)
    with pytest.raises(SystemExit):
        parse_settings(["--http_port=many"], {})
