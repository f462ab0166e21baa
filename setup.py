"""Adds the champion to the wheel; pyproject.toml says everything else about the build.

The wheel holds ``service/champion``: a model repository with one version, copied from ``models/``
at build time. ``service.models.repository.default_root`` finds it. An editable install has none and
uses ``./models``.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

MODELS = Path("models")
CHAMPION = MODELS / "mnist" / "champion"


class BuildWithChampion(build_py):
    """Builds the packages, then copies the champion."""

    def run(self) -> None:
        """Builds; a source tree without ``models/`` makes a wheel without a champion."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib, "service", "champion")
        shutil.rmtree(target, ignore_errors=True)  # an earlier build may have left another version
        files = champion_files()
        if not files:
            self.warn(f"{CHAMPION} is missing: the wheel will hold no champion")
        for file in files:
            copy = target / file.relative_to(MODELS)
            copy.parent.mkdir(parents=True, exist_ok=True)
            self.copy_file(str(file), str(copy))

    def get_source_files(self) -> list[str]:
        """Returns the files that a source distribution needs for this build."""
        return [*super().get_source_files(), *map(str, champion_files())]


def champion_files() -> list[Path]:
    """Returns the ``champion`` file and the files of the version that it names."""
    if not CHAMPION.is_file():
        return []
    version = CHAMPION.parent / str(int(CHAMPION.read_text()))
    return [CHAMPION, *sorted(path for path in version.iterdir() if path.is_file())]


setup(cmdclass={"build_py": BuildWithChampion})
