"""The ``keys`` command and the file that it changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from service.access.keys import MOST_BYTES, Key, KeyFile, KeysError, parse_keys, read_file
from service.app import create_app
from service.observe.metrics import Metrics
from service.settings import Settings, SettingsError, read_settings
from tests.server import wait_until
from tests.service.access.keys import add, run


def read_keys(file: Path) -> dict[str, Key]:
    return parse_keys(read_file(file))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def test_a_key_is_printed_once_and_only_its_sha256_is_kept(file: Path) -> None:
    key = add(file, "lab", "predict,metrics", "--rate", "50", "--expires", "2030-12-31")
    assert len(key) > 43
    assert file.stat().st_mode & 0o777 == 0o600
    assert key not in file.read_text()
    entry = read_keys(file)["lab"]
    assert entry.sha256 == sha256(key.encode()).hexdigest()
    assert sorted(entry.scopes) == ["metrics", "predict"]
    assert entry.rate == 50
    status, table, _ = run(file, "list")
    assert status == 0
    assert table.splitlines()[1].split()[:4] == ["lab", "metrics,predict", "50", "2030-12-31"]
    assert run(file, "revoke", "lab")[:2] == (0, "revoked lab")
    assert read_keys(file) == {}
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (("add", "lab", "--scope", "predict"), 1, "it has a key lab"),
        (("revoke", "nobody"), 1, "it has no key 'nobody'; it has lab"),
        (("add", "new"), 2, "--scope"),
        (("add", "new", "--scope", "predict,all"), 2, "scopes=all: Input should be 'predict', "),
        (("add", "new", "--scope", ""), 2, "scopes="),
        (("add", "new\nline", "--scope", "predict"), 2, r"name='new\nline'"),
        (("add", "10.0.0.1", "--scope", "predict"), 2, "name=10.0.0.1"),
        (("add", "new", "--scope", "predict", "--rate", "0"), 2, "rate=0"),
        (("add", "new", "--scope", "predict", "--rate", "nan"), 2, "rate=nan"),
        (("add", "new", "--scope", "predict", "--expires", "soon"), 2, "expires=soon"),
        (("add", "new", "--scope", "predict", "--expires", "20901231"), 2, "expires=20901231"),
        ((), 2, "COMMAND"),
    ],
)
def test_a_mistake_is_explained_in_one_line_and_changes_nothing(
    file: Path, arguments: tuple[str, ...], status: int, text: str
) -> None:
    add(file, "lab", "predict")
    before = file.read_bytes()
    got, printed, complaints = run(file, *arguments)
    assert (got, printed) == (status, "")
    assert text in complaints
    assert complaints.count("\n") == 1
    assert file.read_bytes() == before


def test_a_link_to_itself_ends_with_no_traceback(file: Path) -> None:
    file.symlink_to(file)
    for arguments in (("list",), ("revoke", "lab"), ("add", "lab", "--scope", "predict")):
        _, _, complaints = run(file, *arguments)
        assert complaints.count("\n") <= 1


def test_without_a_file_the_command_says_how_to_name_one() -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MNIST_")}
    command = [sys.executable, "-m", "service.cli.keys", "list"]
    done = subprocess.run(command, env=clean, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--keys FILE, or MNIST_KEYS" in done.stderr


def test_keys_that_are_added_at_the_same_time_are_all_kept(file: Path) -> None:
    command = [sys.executable, "-m", "service.cli.keys", "--keys", str(file), "add"]

    def another(number: int) -> None:
        subprocess.run([*command, f"k{number}", "--scope", "predict"], check=True)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(another, range(6)))
    assert read_keys(file).keys() == {f"k{number}" for number in range(6)}


def test_a_group_that_may_read_the_file_still_may_after_a_change(file: Path) -> None:
    add(file, "lab", "predict")
    file.chmod(0o640)
    link = file.with_name("link")
    link.symlink_to(file)
    add(link, "other", "predict")
    assert file.stat().st_mode & 0o777 == 0o640
    assert link.is_symlink()


def damage(file: Path, kind: str) -> None:
    """Makes a good file of keys one that cannot be used."""
    content = json.loads(file.read_bytes())
    (entry,) = content["keys"]
    if kind == "folder":
        file.unlink()
        file.mkdir()
    elif kind == "pipe":
        file.unlink()
        os.mkfifo(file, 0o600)
    elif kind == "missing":
        file.unlink()
    elif kind == "readable by all":
        file.chmod(0o644)
    elif kind in TEXTS:
        file.write_bytes(TEXTS[kind])
    else:
        changes = {
            "twice": {"keys": [entry, entry]},
            "scope": {"keys": [entry | {"scopes": ["all"]}]},
            "name": {"keys": [entry | {"name": "a\nb"}]},
            "key": {"keys": [entry | {"sha256": "mnist_itself"}]},
            "field": {"keys": [entry | {"scope": "admin"}]},
        }
        file.write_text(json.dumps(changes[kind]))


TEXTS = {
    "empty": b"",
    "no JSON": b"\x00\xff{",
    "half": b'{"keys": [{"name": "lab", ',
    "10 MB": b" " * 10_000_000,
}
DAMAGES = {
    "missing": "no such file",
    "folder": "is not a file",
    "pipe": "is not a file",
    "readable by all": "mode 0644",
    "empty": "is empty",
    "no JSON": "is damaged",
    "half": "is damaged",
    "10 MB": f"at most {MOST_BYTES}",
    "twice": "same name",
    "scope": "scopes",
    "name": "name",
    "key": "sha256",
    "field": "scope",
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_file_stops_the_start_with_one_line(file: Path, kind: str) -> None:
    add(file, "lab", "predict")
    damage(file, kind)
    with pytest.raises(SettingsError, match=DAMAGES[kind]) as caught:
        create_app(Settings(keys=file))
    told = str(caught.value)
    assert told.startswith(f"MNIST_KEYS={file}: ")
    assert told.isprintable()
    assert "mnist_itself" not in told
    if kind != "missing":
        assert run(file, "add", "other", "--scope", "predict")[0] == 1


@pytest.mark.parametrize("workers", ["1", "2"])
def test_serve_says_so_and_exits_with_1(file: Path, workers: str) -> None:
    file.write_bytes(b"{}")
    file.chmod(0o600)
    command = [sys.executable, "-m", "service", "--port", "0", "--keys", str(file)]
    done = subprocess.run(
        [*command, "--workers", workers], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line == f"serve: MNIST_KEYS={file}: it is damaged: keys: Field required"
    assert "raceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        (
            "OPEN",
            "predict,evrything",
            "MNIST_OPEN=evrything: Input should be 'predict'",
        ),
        ("ALLOWED_HOSTS", "https://a.example", "MNIST_ALLOWED_HOSTS=https://a.example"),
        ("CORS_ORIGINS", "a.example/path", "MNIST_CORS_ORIGINS=a.example/path"),
    ],
)
def test_unknown_scopes_hosts_and_origins_stop_the_start(name: str, value: str, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({}, {f"MNIST_{name}": value})
    assert str(caught.value).startswith(text)


def test_a_folder_in_the_place_of_the_file_takes_no_descriptors(file: Path) -> None:
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    for _ in range(5):
        with pytest.raises(KeysError, match="is not a file"):
            read_file(file.parent)
    assert len(list(descriptors.iterdir())) == before


def test_the_file_is_followed(file: Path) -> None:
    one = add(file, "lab", "predict")
    keys = KeyFile(file, None, Metrics())
    other = add(file, "other", "predict")
    wait_until(lambda: keys.find(other.encode()) is not None)
    assert keys.find(one.encode()) is not None
