"""Where a run stands after each epoch, on disk, so that a run that was stopped can go on.

Every run has a folder of its own, by default in the model repository, where no reader looks::

    models/mnist/.checkpoints/<digest>/run.json         settings, data and packages of the run: all
                                                        that decides its weights. The digest is
                                                        that of this file's content
    models/mnist/.checkpoints/<digest>/checkpoint.npz   the last epoch's state, replaced in one step

It is gone once the run has published. The arrays are read without pickle.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from service.models.repository import NAME
from training.config import Config
from training.durable_files import lock, replace, sweep
from training.errors import TrainingError
from training.network.history import History

FOLDER = ".checkpoints"
RUN, STATE = "run.json", "checkpoint.npz"
PARTS = ("network", "optimizer", "clean", "best")
PACKAGES = ("mnist-serve", "keras", "numpy", "tensorflow")
MOST_TOLD = 4  # differences: more make no line

Arrays = list[NDArray[Any]]
Run = Mapping[str, Mapping[str, Any]]


class CheckpointError(TrainingError):
    """There is nothing to go on from, or no place to keep it; one line."""


@dataclass(slots=True)
class State:
    """A run at the end of an epoch: all that the next epoch depends on.

    ``network`` and ``optimizer`` are the values of all their variables in Keras' order, seeds of
    dropout included; ``clean`` the weights after the first stage, empty before its end; ``best``
    those of the stage's best epoch, empty without early stopping.
    """

    history: History = field(default_factory=History)
    network: Arrays = field(default_factory=list)
    optimizer: Arrays = field(default_factory=list)
    clean: Arrays = field(default_factory=list)
    best: Arrays = field(default_factory=list)


class Checkpoint:
    """The checkpoint of one run; a block of it leaves its folder only if there is a state in it.

    ``data`` are the SHA-256 of the run's files by name; ``warn`` is told what could not be kept.
    """

    def __init__(
        self, root: Path, config: Config, data: Mapping[str, str], warn: Callable[[str], None]
    ) -> None:
        self._run = {
            "settings": config.model_dump(mode="json"),
            "data": dict(data),
            "packages": _packages(),
        }
        self._identity = json.dumps(self._run, indent=2, sort_keys=True).encode()
        self._warn = warn
        self._epochs = 0
        self._held = -1
        self.folder = root / hashlib.sha256(self._identity).hexdigest()[:16]

    def __enter__(self) -> Self:
        """Makes the folder, and keeps other processes from the same run.

        Raises :class:`CheckpointError` where that cannot be done, or another is at it.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._held = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            if lock(self._held, wait=False) is False:
                os.close(self._held)
                raise CheckpointError(
                    f"the same run is going on in another process, which keeps {self.folder}; "
                    "wait for it, or give another --checkpoints"
                )
            sweep(self.folder)
            replace(self.folder / RUN, self._identity)
        except OSError as error:
            raise CheckpointError(f"{self.folder} cannot be used: {error.strerror}") from error
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        os.close(self._held)
        if not self.exists():
            self.remove()
        elif error and self._epochs:
            error.add_note(f"the same command with --resume goes on after epoch {self._epochs}")

    def exists(self) -> bool:
        """Whether a run like this was stopped."""
        return (self.folder / STATE).exists()

    def load(self) -> State | None:
        """The state of the run that was stopped; None where no such run was.

        Raises:
            CheckpointError: the file is damaged, or only runs with other settings, data or
                packages were stopped; it says which differ.
        """
        path = self.folder / STATE
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
                state = _unpacked(arrays)
        except FileNotFoundError:
            self._refuse_others()
            return None
        except Exception as error:  # zipfile, zlib and NumPy fail in a dozen ways on damaged bytes
            raise CheckpointError(
                f"{path} is damaged; leave --resume out to begin anew ({type(error).__name__})"
            ) from error
        self._epochs = len(state.history.epochs)
        return state

    def save(self, state: State) -> None:
        """Replaces the state in one step. A disk that refuses costs the checkpoint, not the run."""
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **_packed(state))
        try:
            replace(self.folder / STATE, buffer.getvalue())
        except OSError as error:
            self._warn(f"no checkpoint was written: {self.folder / STATE}: {error.strerror}")
        else:
            self._epochs = len(state.history.epochs)

    def remove(self) -> None:
        """Removes the folder, and the folder of all checkpoints where this was the last."""
        self._epochs = 0
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            self.folder.parent.rmdir()

    def _refuse_others(self) -> None:
        """Raises :class:`CheckpointError` where another run was stopped: likely that was meant."""
        others = []
        for path in sorted(self.folder.parent.glob(f"*/{STATE}")):
            with suppress(OSError, ValueError, AttributeError):
                run = json.loads(path.with_name(RUN).read_bytes())
                others.append(_differences(run, self._run))
        if others:
            nearest = min(others, key=len)
            told = "; ".join(nearest[:MOST_TOLD])
            more = f" and {len(nearest) - MOST_TOLD} more" if len(nearest) > MOST_TOLD else ""
            raise CheckpointError(
                f"--resume: no run like this was stopped, but one with {told}{more}; "
                "leave --resume out to begin anew"
            )


def _packages() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def place(models: Path) -> Path:
    """Where checkpoints lie in a model repository."""
    return models / NAME / FOLDER


def _differences(old: Run, new: Run) -> list[str]:
    """What an old run had otherwise, each in a few words."""
    found = []
    for part in new:
        then, now = old.get(part, {}), new[part]
        for name in sorted({*then, *now}):
            if then.get(name) == now.get(name):
                continue
            if part == "data":
                found.append(f"other data in {name}")
            else:
                found.append(f"{name} {_said(then.get(name))}, not {_said(now.get(name))}")
    return found


def _said(value: Any) -> str:
    return json.dumps(value).strip('"')


def _packed(state: State) -> dict[str, NDArray[Any]]:
    counts = {part: len(getattr(state, part)) for part in PARTS}
    text = json.dumps({"history": state.history.as_dict(), "counts": counts}).encode()
    arrays = {"head": np.frombuffer(text, np.uint8)}
    for part in PARTS:
        arrays |= {f"{part}.{index}": each for index, each in enumerate(getattr(state, part))}
    return arrays


def _unpacked(arrays: Mapping[str, NDArray[Any]]) -> State:
    head = json.loads(arrays["head"].tobytes())
    state = State(History.from_dict(head["history"]))
    for part in PARTS:
        # Counted, because a damaged archive may have lost members without a trace.
        names = (f"{part}.{index}" for index in range(head["counts"][part]))
        getattr(state, part).extend(arrays[name] for name in names)
    return state
