"""The ``predict`` command, in process and against a real service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.server import Server
from tests.service.decode.samples import picture


def predict(
    *arguments: str | Path,
    stdin: bytes = b"",
    folder: Path | None = None,
    encoding: str = "utf-8",
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Runs the command to its end."""
    clean = {name: value for name, value in os.environ.items() if not name.endswith("_proxy")}
    return subprocess.run(
        [sys.executable, "-m", "service.cli.predict", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        cwd=folder,
        env=clean
        | {"PYTHONPATH": str(Path(__file__).parents[3]), "PYTHONIOENCODING": encoding}
        | dict(environment or {}),
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "one.png").write_bytes(picture(index=0))
    (folder / "two words.gif").write_bytes(picture("GIF", index=1))
    (folder / "broken.png").write_bytes(picture()[:-20])
    return folder


def test_each_file_is_one_line_with_digit_confidence_and_name(models: Path, files: Path) -> None:
    done = predict("--models", models, files / "one.png", files / "two words.gif")
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode().splitlines()
    assert len(lines) == 2
    digit, confidence, name = lines[1].split(" ", 2)
    assert digit in "0123456789"
    assert 0.1 <= float(confidence) <= 1
    assert name.partition("  in doubt: ")[0] == str(files / "two words.gif")


def test_json_holds_the_whole_prediction_and_is_the_same_over_http(
    models: Path, files: Path, server: Server
) -> None:
    names = [files / "one.png", files / "two words.gif"]
    alone = predict("--json", "--models", models, *names)
    asked = predict("--json", "--url", f"http://{server.host}:{server.port}/", *names)
    assert (alone.returncode, asked.returncode) == (0, 0)
    assert alone.stdout == asked.stdout
    first = json.loads(alone.stdout.splitlines()[0])
    assert set(first) == {
        *("file", "digit", "confidence", "probabilities", "doubtful", "doubts"),
    }
    assert first["file"] == str(names[0])


def test_a_dash_is_standard_input(models: Path) -> None:
    done = predict("--models", models, "-", stdin=picture(index=0))
    assert done.returncode == 0
    assert done.stdout.split()[2] == b"-"


@pytest.mark.parametrize("over_http", [False, True])
def test_a_file_that_cannot_be_read_is_told_and_the_others_go_on(
    models: Path, files: Path, server: Server, over_http: bool
) -> None:
    where = ("--url", f"http://{server.host}:{server.port}") if over_http else ("--models", models)
    done = predict(*where, files / "broken.png", files / "none.png", files / "one.png")
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 1
    broken, none = done.stderr.decode().splitlines()
    assert broken.startswith(f"predict: {files / 'broken.png'}: the PNG picture is")
    assert none == f"predict: {files / 'none.png'}: No such file or directory"


def test_a_file_that_is_too_large_for_the_service_is_told_and_the_others_go_on(
    files: Path, server: Server, tmp_path: Path
) -> None:
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(32 << 20)
    done = predict("--url", f"http://{server.host}:{server.port}", large, files / "one.png")
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 1
    (told,) = done.stderr.decode().splitlines()
    assert told.startswith(f"predict: {large}: the ")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "No such file or directory"),
        (".", "Is a directory"),
        ("/dev/zero", "it is larger than 256 MiB"),
        ("-", "the picture is empty"),
    ],
)
def test_what_is_no_file_with_a_picture_is_told(models: Path, name: str, why: str) -> None:
    done = predict("--models", models, name)
    assert (done.returncode, done.stdout) == (1, b"")
    told = "standard input" if name == "-" else name
    assert done.stderr.decode() == f"predict: {told}: {why}\n"


def test_a_name_takes_one_line_and_commands_no_terminal(models: Path, tmp_path: Path) -> None:
    odd = tmp_path / "a\nb\x1b[31m.png"
    odd.write_bytes(picture(index=0))
    done = predict("--models", models, odd, f"{odd}x")
    assert done.stdout.count(b"\n") == done.stderr.count(b"\n") == 1
    assert rb"a\nb\x1b[31m.png" in done.stdout
    assert rb"a\nb\x1b[31m.pngx" in done.stderr


def test_names_that_the_output_cannot_encode_are_printed_all_the_same(
    models: Path, tmp_path: Path
) -> None:
    names = [os.fsencode(tmp_path) + b"/si\xc3\xa9.png", os.fsencode(tmp_path) + b"/\xff.png"]
    for name in names:
        Path(os.fsdecode(name)).write_bytes(picture(index=0))
    for encoding in ("ascii", "utf-8"):
        done = predict("--models", models, *map(os.fsdecode, names), encoding=encoding)
        assert (done.returncode, done.stderr) == (0, b"")
        assert len(done.stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("rest", "status", "told"),
    [
        ('"$2" >/dev/full', 1, "predict: standard output: No space left on device\n"),
        ('"$2" >&-', 1, "predict: standard output is closed\n"),
        ('"$2" "$2" | true', 0, ""),
        ("- <&-", 1, "predict: standard input: it is closed\n"),
    ],
)
def test_streams_that_fail_are_told_in_one_line(
    models: Path, files: Path, rest: str, status: int, told: str
) -> None:
    command = f'"$0" -m service.cli.predict --models "$1" {rest}'
    done = subprocess.run(
        ["/bin/sh", "-c", command, sys.executable, str(models), str(files / "one.png")],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr.decode()) == (status, told)


def test_the_environment_names_the_repository_where_no_flag_does(
    models: Path, files: Path, tmp_path: Path
) -> None:
    for named, flags in ((models, ()), (tmp_path, ("--models", models))):
        environment = {"MNIST_MODELS": str(named)}
        done = predict(*flags, files / "one.png", folder=tmp_path, environment=environment)
        assert (done.returncode, done.stderr) == (0, b"")


def test_without_a_repository_there_is_one_line(files: Path, tmp_path: Path) -> None:
    done = predict(files / "one.png", folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"predict: ")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://127.0.0.1:1", "Connection refused"),
        ("ftp://127.0.0.1", "an http or https address is expected"),
        ("http://[", "http://["),
        ("", "--url: an http or https address is expected"),
    ],
)
def test_without_a_service_there_is_one_line(files: Path, url: str, told: str) -> None:
    done = predict("--url", url, files / "one.png", files / "two words.gif")
    assert (done.returncode, done.stdout) == (1, b"")
    assert told in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


def test_an_address_that_is_not_the_services_is_told_once(files: Path, server: Server) -> None:
    url = f"http://{server.host}:{server.port}/docs"
    done = predict("--url", url, files / "one.png", files / "two words.gif")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode() == f"predict: {url}: there is nothing at /docs/predict\n"


@pytest.mark.parametrize("arguments", [(), ("--json",), ("--nonsense", "x"), ("--url",)])
def test_wrong_usage_is_status_2(arguments: tuple[str, ...]) -> None:
    assert predict(*arguments).returncode == 2


def test_help_needs_neither_numpy_nor_a_model() -> None:
    program = (
        "import sys; sys.modules['numpy'] = None; from service.cli.predict import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "--help"], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert b"usage: predict" in done.stdout
