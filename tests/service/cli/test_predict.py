"""The ``predict`` command, in process and against a real service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from service import __version__
from service.imaging.load import FORMATS
from tests.server import Server
from tests.service.decode.samples import encode, picture

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "tests/pictures/page.png"


def predict(
    *arguments: str | Path,
    stdin: bytes = b"",
    folder: Path | None = None,
    encoding: str = "utf-8",
    environment: dict[str, str] | None = None,
) -> tuple[int, list[str], list[str]]:
    """Runs the command; gives its status and the lines of standard output and standard error."""
    clean = {name: value for name, value in os.environ.items() if not name.endswith("_proxy")}
    mine = {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding}
    done = subprocess.run(
        [sys.executable, "-m", "service.cli.predict", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        cwd=folder,
        env=clean | mine | (environment or {}),
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout.decode().splitlines(), done.stderr.decode().splitlines()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "one.png").write_bytes(picture(index=0))
    (folder / "two words.gif").write_bytes(picture("GIF", index=1))
    (folder / "broken.png").write_bytes(picture()[:-20])
    return folder


@pytest.fixture(scope="module")
def url(served: Server) -> str:
    return f"http://{served.host}:{served.port}"


def test_each_file_is_one_line_with_digit_confidence_and_name(models: Path, files: Path) -> None:
    names = [str(files / "one.png"), str(files / "two words.gif"), "-"]
    status, lines, told = predict("--models", models, *names, stdin=picture(index=0))
    assert (status, len(lines), told) == (0, 3, [])
    for line, shown in zip(lines, names, strict=True):
        digit, confidence, name = line.split(" ", 2)
        assert digit in "0123456789"
        assert 0.1 <= float(confidence) <= 1
        assert name.partition("  in doubt: ")[0] == shown


@pytest.mark.parametrize("version", [(), ("--version", "2")])
@pytest.mark.parametrize(
    ("flags", "keys"),
    [((), "digit confidence probabilities doubtful doubts"), (("--numbers",), "text digits")],
)
def test_json_holds_the_whole_answer_and_is_the_same_over_http(
    models: Path,
    files: Path,
    url: str,
    *,
    version: tuple[str, ...],
    flags: tuple[str, ...],
    keys: str,
) -> None:
    flags += version
    names = [files / "one.png", files / "two words.gif", PAGE]
    alone = predict(*flags, "--json", "--models", models, *names)
    assert alone == predict(*flags, "--json", "--url", f"{url}/", *names)
    assert (alone[0], alone[2]) == (0, [])
    answers = list(map(json.loads, alone[1]))
    assert [answer.pop("file") for answer in answers] == list(map(str, names))
    assert all(answer.keys() == set(keys.split()) for answer in answers)
    if version:
        champions = predict(*flags[: -len(version)], "--json", "--models", models, *names)
        assert alone[1] != champions[1]


def test_numbers_are_printed_with_commas_between_lines_and_a_dash_for_none(tmp_path: Path) -> None:
    (tmp_path / "blank.png").write_bytes(encode(Image.new("L", (40, 40)), "PNG"))
    lines = [f"331 {PAGE}", f"- {tmp_path}/blank.png"]
    assert predict("--numbers", "--models", ROOT / "models", PAGE, tmp_path) == (0, lines, [])


def test_a_folder_is_its_pictures_at_any_depth_sorted(models: Path, tmp_path: Path) -> None:
    names = [tmp_path / name for name in ("b.png", "a/z.PNG", "a/b/c.jpeg", "é.webp")]
    for name in names:
        name.parent.mkdir(parents=True, exist_ok=True)
        name.write_bytes(picture(index=0))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "folder.png").mkdir()
    status, lines, told = predict("--models", models, tmp_path, names[0])
    assert (status, told) == (0, [])
    expected = [*map(str, sorted(names)), str(names[0])]
    assert [line.split(" ", 2)[2].partition("  in doubt: ")[0] for line in lines] == expected


@pytest.mark.parametrize("over_http", [False, True])
def test_a_file_that_fails_is_told_and_the_others_go_on(
    models: Path, files: Path, url: str, over_http: bool, tmp_path: Path
) -> None:
    where = ("--url", url) if over_http else ("--models", models)
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(32 << 20)
    names = [files / "broken.png", files / "none.png", large]
    status, lines, told = predict(*where, *names, files / "one.png")
    assert (status, len(lines)) == (1, 1)
    starts = ("the PNG picture is", "No such file or directory", "")
    for line, name, start in zip(told, names, starts, strict=True):
        assert line.startswith(f"predict: {name}: {start}")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "Is a directory"),
        ("a" * 300, "File name too long"),
        ("/proc/self/fd", "Is a directory"),
        ("/dev/zero", f"not a picture: its first bytes are not those of {FORMATS}"),
        ("-", "the picture is empty"),
    ],
)
def test_what_is_no_file_with_a_picture_is_told(models: Path, name: str, why: str) -> None:
    told = f"predict: {'standard input' if name == '-' else name}: {why}"
    assert predict("--models", models, name) == (1, [], [told])


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_name_takes_one_line_commands_no_terminal_and_needs_no_encoding(
    models: Path, tmp_path: Path, encoding: str
) -> None:
    parts = (b"/si\xc3\xa9.png", b"/\xff", b"/a\nb\x1b[31m.png")
    names = [os.fsdecode(os.fsencode(tmp_path) + name) for name in parts]
    for name in names:
        Path(name).write_bytes(picture(index=0))
    status, lines, (told,) = predict("--models", models, *names, f"{names[2]}x", encoding=encoding)
    assert (status, len(lines)) == (1, 3)
    assert r"a\nb\x1b[31m.png" in lines[2]
    assert r"a\nb\x1b[31m.pngx" in told


@pytest.mark.parametrize(
    ("rest", "status", "told"),
    [
        ('"$2" >/dev/full', 1, "predict: standard output: No space left on device\n"),
        ('"$2" >&-', 1, "predict: standard output: it is closed\n"),
        ('"$2" "$2" | true', 0, ""),
        ("- <&-", 1, "predict: standard input: it is closed\n"),
    ],
)
def test_streams_that_fail_are_told_in_one_line(
    models: Path, files: Path, rest: str, status: int, told: str
) -> None:
    shell = ["/bin/sh", "-c", f'"$0" -m service.cli.predict --models "$1" {rest}']
    command = [*shell, sys.executable, str(models), str(files / "one.png")]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.decode()) == (status, told)


def test_the_environment_names_the_repository_where_no_flag_does(
    models: Path, files: Path, tmp_path: Path
) -> None:
    for named, flags in ((models, ()), (tmp_path, ("--models", models))):
        environment = {"MNIST_MODELS": str(named)}
        done = predict(*flags, files / "one.png", folder=tmp_path, environment=environment)
        assert (done[0], done[2]) == (0, [])


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ((), "models/mnist/champion is missing: no version has been promoted"),
        (("--models", "{models}", "--version", "9"), "version 9: it is not in {models}/mnist"),
        (("--url", "{url}", "--version", "9"), "{url}: there is no version '9'"),
        (("--url", "{url}/none"), "{url}/none: there is nothing at /none/predict"),
        (("--url", "http://127.0.0.1:1"), "http://127.0.0.1:1: Connection refused"),
        (("--url", "ftp://127.0.0.1"), "ftp://127.0.0.1: an http or https address is expected"),
        (("--url", "http://["), "http://[: Invalid IPv6 URL"),
        (("--url", ""), "--url: an http or https address is expected"),
    ],
)
def test_where_no_file_can_be_answered_one_line_says_why(
    models: Path, files: Path, url: str, tmp_path: Path, *, flags: tuple[str, ...], told: str
) -> None:
    chosen = [flag.format(models=models, url=url) for flag in flags]
    done = predict(*chosen, files / "one.png", files / "two words.gif", folder=tmp_path)
    assert done == (1, [], [f"predict: {told.format(models=models, url=url)}"])


def test_a_service_of_another_kind_is_told(files: Path, tmp_path: Path) -> None:
    program = (
        "from http.server import *\n"
        "class Other(BaseHTTPRequestHandler):\n"
        "    def do_POST(self):\n"
        "        self.send_response(200); self.end_headers(); self.wfile.write(b'[]')\n"
        "server = HTTPServer(('127.0.0.1', 0), Other)\n"
        "print(server.server_port, flush=True)\n"
        "server.handle_request()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        url = f"http://127.0.0.1:{int(other.stdout.readline())}"
        told = f"predict: {url}: the service there is not mnist-serve"
        assert predict("--url", url, files / "one.png") == (1, [], [told])


@pytest.mark.parametrize(
    "flags", [(), ("--json",), ("--nonsense", "x"), ("--url",), ("--version", "x.png")]
)
def test_wrong_usage_is_status_2(flags: tuple[str, ...]) -> None:
    assert predict(*flags)[0] == 2


@pytest.mark.parametrize(
    ("flag", "start"), [("--help", "usage: predict"), ("--version", f"mnist-serve {__version__}")]
)
def test_help_and_version_need_neither_numpy_nor_a_model(flag: str, start: str) -> None:
    program = (
        "import sys; sys.modules['numpy'] = None; from service.cli.predict import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program, flag], capture_output=True, check=True)
    assert done.stdout.decode().startswith(start)
