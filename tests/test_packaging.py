"""What is installed, and what stays out of what."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from service import Classifier
from tests.server import listens, wait_until

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
# The extra of each.
LOCKS = {"serve": "cpu", "train": "train", "dev": "dev", "gpu": "gpu", "perf": "perf"}

PIN = re.compile(r"([a-z0-9-]+)==(\S+) \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")


def lock_lines(name: str) -> list[str]:
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


def pins(name: str) -> dict[str, str]:
    found = filter(None, map(PIN.fullmatch, lock_lines(name)))
    return {pin[1]: pin[2] for pin in found}


def wanted(extra: str) -> list[Requirement]:
    """What an extra asks for, with what it takes over from other extras."""
    found = []
    for requirement in map(Requirement, EXTRAS[extra]):
        if requirement.name == PROJECT["name"]:
            found += [inner for other in requirement.extras for inner in wanted(other)]
        else:
            found.append(requirement)
    return found


def modules_after(statement: str) -> set[str]:
    """Top-level packages that a fresh interpreter holds after ``statement``."""
    code = f"{statement}\nimport sys\nprint('loaded', *{{n.split('.')[0] for n in sys.modules}})"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return set(run.stdout.splitlines()[-1].split())


def test_the_service_loads_neither_training_nor_its_libraries() -> None:
    every_module = (
        "import importlib, pkgutil, service\n"
        "for module in pkgutil.walk_packages(service.__path__, 'service.'):\n"
        "    importlib.import_module(module.name)"
    )
    loaded = modules_after(every_module)
    assert {"service", "fastapi", "onnxruntime"} <= loaded
    assert not loaded & {"training", "tensorflow", "keras", "tf2onnx", "onnx", "matplotlib"}


def test_looking_after_models_loads_no_training_library() -> None:
    loaded = modules_after("import training.cli.models")
    assert not loaded & {"tensorflow", "keras", "tf2onnx", "onnx", "matplotlib"}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_pins_and_hashes_and_no_address(name: str) -> None:
    lines = lock_lines(name)
    assert lines
    strangers = [line for line in lines if not PIN.fullmatch(line) and not HASH.fullmatch(line)]
    assert strangers == []
    assert "://" not in (ROOT / "requirements" / f"{name}.txt").read_text()


@pytest.mark.parametrize(("smaller", "larger"), [("serve", "train"), ("train", "dev")])
def test_each_lock_holds_the_one_before_it(smaller: str, larger: str) -> None:
    """One environment serves every word of the Makefile without replacing a package."""
    assert set(lock_lines(smaller)) <= set(lock_lines(larger))
    assert pins(smaller).items() < pins(larger).items()


@pytest.mark.parametrize(("name", "extra"), LOCKS.items())
def test_the_locked_versions_are_in_the_ranges_of_pyproject(name: str, extra: str) -> None:
    locked = pins(name)
    asked = [*map(Requirement, PROJECT["dependencies"]), *wanted(extra)]
    outside = [str(r) for r in asked if locked[canonicalize_name(r.name)] not in r.specifier]
    assert outside == []


@pytest.mark.parametrize("name", ["serve", "gpu"])
def test_serving_installs_no_training_library(name: str) -> None:
    assert not pins(name).keys() & {
        "tensorflow",
        "keras",
        "tf2onnx",
        "onnx",
        "matplotlib",
        "pytest",
    }


def test_onnxruntime_comes_once() -> None:
    """The CPU and the GPU package fill the same folder: no extra and no lock names both."""
    both = {"onnxruntime", "onnxruntime-gpu"}
    assert not both & {Requirement(line).name for line in PROJECT["dependencies"]}
    for extra in EXTRAS:
        taken = both & {requirement.name for requirement in wanted(extra)}
        assert len(taken) == (extra in LOCKS.values()), extra  # the others add to one of these
    for name in LOCKS:
        assert len(both & pins(name).keys()) == 1, name


@pytest.mark.parametrize("target", PROJECT["scripts"].values(), ids=PROJECT["scripts"])
def test_a_console_script_leads_to_a_function(target: str) -> None:
    module, function = target.split(":")
    assert callable(getattr(importlib.import_module(module), function))


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the project is built from."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, folder)
    for name in ("service", "training", "models"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built as ``python -m build`` does: from the source distribution alone."""
    folder = tmp_path_factory.mktemp("dist")
    hook = "import sys; from setuptools.build_meta import build_sdist; build_sdist(sys.argv[1])"
    run(sys.executable, "-c", hook, folder, cwd=source)
    (sdist,) = folder.glob("*.tar.gz")
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index")
    run(*pip, "--no-build-isolation", "--wheel-dir", folder, sdist)
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_holds_the_data_files_and_the_champion_alone(source: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {n for n in archive.namelist() if n.startswith(("service/", "training/"))}
        (metadata,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        assert (ROOT / "README.md").read_text() in archive.read(metadata).decode()
    there = {
        path.relative_to(source).as_posix()
        for package in ("service", "training")
        for path in (source / package).rglob("*")
        if path.is_file()
    }
    version = (ROOT / "models/mnist/champion").read_text().strip()
    files = [
        "champion",
        *(f"{version}/{p.name}" for p in (ROOT / "models/mnist" / version).iterdir()),
    ]
    assert packed - there == {f"service/champion/mnist/{file}" for file in files}
    assert {name for name in there - packed if not name.endswith(".md")} == set()


@pytest.mark.slow
def test_an_installed_wheel_answers_with_its_champion_in_an_empty_folder(
    wheel: Path, tmp_path: Path
) -> None:
    venv.create(tmp_path / "venv")
    site = sysconfig.get_path("purelib", vars={"base": str(tmp_path / "venv")})
    # The libraries come from here, and the project from the wheel.
    paths = [path for path in sys.path if path.endswith("site-packages")]
    Path(site, "libraries.pth").write_text("\n".join(paths))
    commands = tmp_path / "venv/bin"
    pip = (sys.executable, "-m", "pip", "--python", commands / "python", "install", "--quiet")
    run(*pip, "--no-deps", "--no-index", "--ignore-installed", wheel)
    empty = tmp_path / "empty"
    empty.mkdir()
    seven = ROOT / "tests/pictures/seven.png"
    (expected,) = Classifier(ROOT / "models").predict(seven)
    (line,) = run(commands / "predict", "--json", seven, cwd=empty).splitlines()
    assert tuple(json.loads(line)["probabilities"]) == expected.probabilities

    log = tmp_path / "log"
    with log.open("wb") as stderr:
        command = (commands / "serve", "--port", "0", "--log-format", "json")
        server = subprocess.Popen(command, cwd=empty, stderr=stderr)
    try:
        wait_until(lambda: '"serving"' in log.read_text() or server.poll() is not None, 60)
        lines = list(map(json.loads, log.read_text().splitlines()))
        (url,) = [line["url"] for line in lines if line["message"] == "listening"]
        (used,) = [line["models"] for line in lines if "packaged champion" in line["message"]]
        assert Path(used).is_relative_to(site)
        place = urlsplit(url)
        wait_until(lambda: listens(place.hostname or "", place.port or 0))
        headers = {"Content-Type": "image/png"}
        with urlopen(Request(f"{url}/predict", seven.read_bytes(), headers), timeout=30) as reply:
            (answer,) = json.load(reply)["predictions"]
    finally:
        server.terminate()
        assert server.wait(30) == 0
    assert tuple(answer["probabilities"]) == expected.probabilities
    assert list(empty.iterdir()) == []
    missing = subprocess.run(
        [commands / "serve", "--models", "models"], cwd=empty, capture_output=True, check=False
    )
    assert missing.returncode == 1
    assert b"serve: models/mnist/champion is missing" in missing.stderr


@pytest.mark.parametrize(
    "start",
    [
        "from service.__main__ import main; sys.exit(main([]))",
        "from service.cli.predict import main; sys.exit(main(['x.png']))",
        "from service import Classifier",
    ],
)
def test_without_onnxruntime_the_last_line_says_what_to_install(start: str) -> None:
    program = f"import sys; sys.modules['onnxruntime'] = None; {start}"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len(lines) == 1 or start.endswith("Classifier")
    assert "pip install 'mnist-serve[cpu]'" in lines[-1]


def test_importing_the_package_loads_no_library() -> None:
    assert not modules_after("import service") & {"numpy", "onnxruntime", "fastapi", "PIL"}


def test_the_vendored_swagger_ui_is_the_version_that_the_papers_name() -> None:
    docs = ROOT / "service" / "static" / "docs"
    heading = (docs / "README.md").read_text().splitlines()[0]
    version = heading.removeprefix("# Swagger UI ")
    assert f'"{version}"' in (docs / "swagger-ui-bundle.js").read_text()
    assert f"Swagger UI {version} " in (ROOT / "NOTICE").read_text()
