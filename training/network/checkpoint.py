"""Stores the state of a run after each epoch, so that an interrupted run can continue.

Every run has its own folder, ``models/mnist/.checkpoints/<hash of settings, data and packages>/``,
and removes it when it has published. Nothing here reads pickle.
"""

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from training.config import Config
from training.durable_files import opened, replace, sweep
from training.errors import TrainingError


@dataclass(frozen=True, slots=True)
class Epoch:
    """The figures of one pass over the training images; times are seconds since the fit began."""

    epoch: int
    loss: float
    accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float
    seconds: float
    cpu_seconds: float


@dataclass(slots=True)
class History:
    """The epochs of all stages in order, and the duration of the whole fit."""

    epochs: list[Epoch] = field(default_factory=list)
    clean_epochs: int = 0  # of the first stage
    best_epoch: int = 0  # of the last stage
    kept: list[dict[str, float]] = field(default_factory=list)  # whose weights are in the final
    seconds: float = 0.0
    cpu_seconds: float = 0.0


STATE = "checkpoint.npz"
PACKAGES = ("mnist-serve", "keras", "numpy", "tensorflow")

Arrays = list[NDArray[Any]]


@dataclass(slots=True)
class State:
    """Everything at the end of an epoch on which the next epoch depends."""

    history: History = field(default_factory=History)
    network: Arrays = field(default_factory=list)  # all variables in Keras' order
    optimizer: Arrays = field(default_factory=list)
    clean: Arrays = field(default_factory=list)  # the weights at the end of the first stage
    best: Arrays = field(default_factory=list)  # those of the stage's best, with early stopping

    def as_npz(self) -> bytes:
        """Returns all parts as the bytes of an ``.npz``."""
        parts = {part.name: getattr(self, part.name) for part in fields(self)[1:]}
        counts = {name: len(arrays) for name, arrays in parts.items()}
        named = {f"{name}.{i}": each for name, part in parts.items() for i, each in enumerate(part)}
        text, buffer = json.dumps({"history": asdict(self.history), "counts": counts}), io.BytesIO()
        np.savez(buffer, allow_pickle=False, head=np.array(text), **named)
        return buffer.getvalue()

    @classmethod
    def from_npz(cls, content: bytes) -> Self:
        """Returns the state; a dozen types of exceptions say that the bytes are damaged."""
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            head = json.loads(str(arrays["head"]))
            history = head["history"]
            history["epochs"] = [Epoch(**epoch) for epoch in history["epochs"]]
            # By count: a damaged archive can lack members without an error.
            counts = head["counts"].items()
            parts = {part: [arrays[f"{part}.{i}"] for i in range(count)] for part, count in counts}
        return cls(History(**history), **parts)


def installed(packages: Iterable[str]) -> dict[str, str]:
    """Returns the versions of those of the packages that are installed."""
    found = {}
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


class Checkpoint:
    """The checkpoint of one run; ``data`` maps its files to SHA-256; removes an empty folder."""

    def __init__(
        self, root: Path, config: Config, data: Mapping[str, str], warn: Callable[[str], None]
    ) -> None:
        run = (config.model_dump(mode="json"), dict(data), installed(PACKAGES))
        identity = json.dumps(run, sort_keys=True).encode()
        self.folder = root / hashlib.sha256(identity).hexdigest()[:16]
        self._state, self._warn = self.folder / STATE, warn
        self._epochs = 0
        self._held = ExitStack()

    def __enter__(self) -> Self:
        """Makes and locks the folder; raises :class:`TrainingError` if that fails."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self._held.enter_context(opened(self.folder)):
                sweep(self.folder)
                return self
        except OSError as error:
            raise TrainingError(f"{self.folder} cannot be used: {error.strerror}") from error
        self._held.close()
        raise TrainingError(
            f"another process runs the same training and has locked {self.folder}; "
            "wait for it, or set another --checkpoints"
        )

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._held.close()
        if not self._state.exists():
            self.remove()
        elif error and self._epochs:
            error.add_note(f"the same command with --resume continues after epoch {self._epochs}")

    def load(self) -> State | None:
        """Returns the state of the interrupted run, None if there is none; else raises."""
        try:
            state = State.from_npz(self._state.read_bytes())
        except FileNotFoundError:
            return None
        except Exception as error:  # zipfile, zlib and NumPy raise a dozen types
            raise TrainingError(
                f"{self._state} is damaged; omit --resume to start again ({type(error).__name__})"
            ) from error
        self._epochs = len(state.history.epochs)
        return state

    def save(self, state: State) -> None:
        """Replaces the state in one step. If that fails it warns, and the run goes on."""
        try:
            replace(self._state, state.as_npz())
        except OSError as error:
            self._warn(f"no checkpoint was written: {self._state}: {error.strerror}")
        else:
            self._epochs = len(state.history.epochs)

    def remove(self) -> None:
        """Removes the folder, and the folder of all checkpoints if it is then empty."""
        self._epochs = 0
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            self.folder.parent.rmdir()
