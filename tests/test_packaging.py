"""What is installed, and what stays out of what."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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
        assert len(both & {requirement.name for requirement in wanted(extra)}) == 1, extra
    for name in LOCKS:
        assert len(both & pins(name).keys()) == 1, name


@pytest.mark.parametrize("target", PROJECT["scripts"].values(), ids=PROJECT["scripts"])
def test_a_console_script_leads_to_a_function(target: str) -> None:
    module, function = target.split(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_the_wheel_holds_the_data_files(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    for name in ("service", "training"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--wheel-dir", str(tmp_path), str(source)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr

    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        packed = {name for name in wheel.namelist() if name.startswith(("service/", "training/"))}
    there = {
        path.relative_to(source).as_posix()
        for package in ("service", "training")
        for path in (source / package).rglob("*")
        if path.is_file()
    }
    assert packed <= there
    assert {name for name in there - packed if not name.endswith(".md")} == set()


def test_the_vendored_swagger_ui_is_the_version_that_the_papers_name() -> None:
    docs = ROOT / "service" / "static" / "docs"
    heading = (docs / "README.md").read_text().splitlines()[0]
    version = heading.removeprefix("# Swagger UI ")
    assert f'"{version}"' in (docs / "swagger-ui-bundle.js").read_text()
    assert f"Swagger UI {version} " in (ROOT / "NOTICE").read_text()
