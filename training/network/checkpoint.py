"""Stores the state of a run after each epoch, so that an interrupted run can continue.

Every run has its own folder, by default a hidden one in the model repository::

    models/mnist/.checkpoints/<hash of run.json>/
        run.json        settings, data and packages, which together determine the weights
        checkpoint.npz  the state after the last whole epoch

A run removes its folder when it has published. Nothing here reads pickle.
"""

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from service.models.repository import NAME
from training.config import Config
from training.durable_files import opened, replace, sweep
from training.errors import TrainingError
from training.provenance import installed


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
    """The epochs of all stages in order, and the duration of the whole fit.

    ``clean_epochs`` counts those of the first stage, ``best_epoch`` is the best of the last;
    ``kept`` lists the epochs whose weights are in the final ones.
    """

    epochs: list[Epoch] = field(default_factory=list)
    clean_epochs: int = 0
    best_epoch: int = 0
    kept: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Returns the form that the card has."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Returns the history from the form of :meth:`as_dict`."""
        return cls(**{**plain, "epochs": [Epoch(**epoch) for epoch in plain["epochs"]]})


def kept_in_words(kept: Sequence[Mapping[str, float]]) -> str:
    """Returns ``epoch 9``, or ``30 % of epoch 11 and 70 % of epoch 20``."""
    if len(kept) == 1:
        return f"epoch {kept[0]['epoch']}"
    return " and ".join(f"{100 * each['share']:.3g} % of epoch {each['epoch']}" for each in kept)


FOLDER = ".checkpoints"
RUN, STATE = "run.json", "checkpoint.npz"
PARTS = ("network", "optimizer", "clean", "best")
PACKAGES = ("mnist-serve", "keras", "numpy", "tensorflow")
MOST_LISTED = 4  # differences: more would not fit in a line

Arrays = list[NDArray[Any]]
Run = Mapping[str, Mapping[str, Any]]


@dataclass(slots=True)
class State:
    """Everything at the end of an epoch on which the next epoch depends.

    ``network`` and ``optimizer`` hold all variables in Keras' order, ``clean`` the weights at the
    end of the first stage, ``best`` those of the stage's best epoch with early stopping.
    """

    history: History = field(default_factory=History)
    network: Arrays = field(default_factory=list)
    optimizer: Arrays = field(default_factory=list)
    clean: Arrays = field(default_factory=list)
    best: Arrays = field(default_factory=list)


class Checkpoint:
    """The checkpoint of one run; ``data`` maps its files to SHA-256; removes an empty folder."""

    def __init__(
        self, root: Path, config: Config, data: Mapping[str, str], warn: Callable[[str], None]
    ) -> None:
        self._run = {
            "settings": config.model_dump(mode="json"),
            "data": dict(data),
            "packages": installed(PACKAGES),
        }
        self._identity = json.dumps(self._run, indent=2, sort_keys=True).encode()
        self._warn = warn
        self._epochs = 0
        self._held = ExitStack()
        self.folder = root / hashlib.sha256(self._identity).hexdigest()[:16]

    def __enter__(self) -> Self:
        """Makes and locks the folder; raises :class:`TrainingError` if that fails."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _, locked = self._held.enter_context(opened(self.folder))
            if locked is False:
                self._held.close()
                raise TrainingError(
                    f"another process runs the same training and has locked {self.folder}; "
                    "wait for it, or set another --checkpoints"
                )
            sweep(self.folder)
            replace(self.folder / RUN, self._identity)
        except OSError as error:
            raise TrainingError(f"{self.folder} cannot be used: {error.strerror}") from error
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._held.close()
        if not self.exists():
            self.remove()
        elif error and self._epochs:
            error.add_note(f"the same command with --resume continues after epoch {self._epochs}")

    def exists(self) -> bool:
        """Returns whether an interrupted run with the same settings and data left a state."""
        return (self.folder / STATE).exists()

    def load(self) -> State | None:
        """Returns the state of the interrupted run, None if there is none; else raises."""
        path = self.folder / STATE
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
                state = _unpacked(arrays)
        except FileNotFoundError:
            self._reject_others()
            return None
        except Exception as error:  # zipfile, zlib and NumPy raise a dozen types
            raise TrainingError(
                f"{path} is damaged; omit --resume to start again ({type(error).__name__})"
            ) from error
        self._epochs = len(state.history.epochs)
        return state

    def save(self, state: State) -> None:
        """Replaces the state in one step. If that fails it warns, and the run goes on."""
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **_packed(state))
        try:
            replace(self.folder / STATE, buffer.getvalue())
        except OSError as error:
            self._warn(f"no checkpoint was written: {self.folder / STATE}: {error.strerror}")
        else:
            self._epochs = len(state.history.epochs)

    def remove(self) -> None:
        """Removes the folder, and the folder of all checkpoints if it is then empty."""
        self._epochs = 0
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            self.folder.parent.rmdir()

    def _reject_others(self) -> None:
        """Raises :class:`TrainingError` if another run was interrupted: that may be meant."""
        others = []
        for path in sorted(self.folder.parent.glob(f"*/{STATE}")):
            with suppress(OSError, ValueError, AttributeError):
                others.append(_differences(json.loads(path.with_name(RUN).read_bytes()), self._run))
        if others:
            nearest = min(others, key=len)
            listed = "; ".join(nearest[:MOST_LISTED])
            more = f" and {len(nearest) - MOST_LISTED} more" if len(nearest) > MOST_LISTED else ""
            raise TrainingError(
                f"--resume: no run like this was interrupted, but one with {listed}{more}; "
                "omit --resume to start again"
            )


def place(models: Path) -> Path:
    """Returns the folder of the checkpoints in a model repository."""
    return models / NAME / FOLDER


def _differences(old: Run, new: Run) -> list[str]:
    """Describes each difference between two runs in a few words."""
    found = []
    for part in new:
        for name in sorted({*old.get(part, {}), *new[part]}):
            then, now = (json.dumps(run.get(part, {}).get(name)).strip('"') for run in (old, new))
            if then != now:
                both = f"{name} {then}, not {now}"
                found.append(f"other data in {name}" if part == "data" else both)
    return found


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
        # By count: a damaged archive can lack members without an error.
        names = (f"{part}.{index}" for index in range(head["counts"][part]))
        getattr(state, part).extend(arrays[name] for name in names)
    return state
