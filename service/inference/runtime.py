"""Loads, warms and runs one model file on ONNX Runtime, for the service and for training."""

from __future__ import annotations

import os
import threading
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

import numpy as np

from service.errors import Explained, MissingRuntime
from service.types import INPUT, OUTPUT, Images, Probabilities

try:
    import onnxruntime as ort
except ModuleNotFoundError as error:
    raise MissingRuntime from error

if TYPE_CHECKING:
    from service.settings import Provider


ONNXRUNTIME: str = ort.__version__
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
CUDA_OPTIONS = {
    "cudnn_conv_algo_search": "HEURISTIC",  # an exhaustive search would run for every batch size
    "arena_extend_strategy": "kSameAsRequested",
    "use_tf32": "0",  # it changes digits beyond the proof's tolerance
}
LEAST_SUM, MOST_SUM = 0.999, 1.001  # between these lies the sum of the probabilities of each image
_TEN = np.ones(10, np.float32)
_BLANK = np.zeros((1, 28, 28), np.uint8)

ort.disable_telemetry_events()
# Its own warnings go to stderr and not to the log; the provider report has what matters.
ort.set_default_logger_severity(3)


class RuntimeLoadError(Explained):
    """The file cannot be loaded, or is not of the contract's form; one line says why."""


class RunError(Exception):
    """A run was ended, or gave no probabilities; one line says why."""


@dataclass(frozen=True, slots=True)
class ProviderReport:
    """What a session really runs on, as the session itself reports it."""

    requested: Provider
    active: Literal["cpu", "cuda"]
    fallback: str | None  # why auto did not get CUDA; None if it did, or for another provider
    nodes: dict[str, int]  # graph nodes by execution provider, as ONNX Runtime placed them
    onnxruntime: str


class Runtime:
    """One loaded model. Any number of threads may call ``run``; each executes it alone."""

    def __init__(self, session: ort.InferenceSession, report: ProviderReport) -> None:
        self._run = session.run
        self._options = ort.RunOptions()
        self.begun: dict[int, float] = {}
        """When the run of each thread that is inside one began, on ``perf_counter``'s clock."""
        self.report = report
        self.metadata: dict[str, str] = dict(session.get_modelmeta().custom_metadata_map)

    @classmethod
    def load(cls, model: Path | bytes, *, provider: Provider = "auto") -> Runtime:
        """Loads a model file or its bytes; RuntimeLoadError for another interface or provider."""
        session, fallback = open_session(model, provider)
        _check_ends(session)
        nodes = Counter[str]()
        for item in session.get_provider_graph_assignment_info():
            nodes[item.ep_name] += len(item.get_nodes())
        active: Literal["cpu", "cuda"] = "cuda" if nodes[CUDA] else "cpu"
        if provider == "cuda" and active != "cuda":
            raise RuntimeLoadError("provider cuda: no node of the model was placed on CUDA")
        return cls(session, ProviderReport(provider, active, fallback, dict(nodes), ONNXRUNTIME))

    def run(self, images: Images) -> Probabilities:
        """Returns the probabilities (n, 10) of images (n, 28, 28); RunError if they are none."""
        thread = threading.get_ident()
        self.begun[thread] = perf_counter()
        try:
            result: Probabilities = self._run([OUTPUT], {INPUT: images}, self._options)[0]
        except Exception:
            if self.ended:
                raise RunError(f"a run of {len(images)} images did not end in time") from None
            raise
        finally:
            self.begun.pop(thread, None)
        if not _are_probabilities(result, rows := len(images)):
            raise RunError(f"a run of {rows} images gave no {rows} x 10 probabilities")
        return result

    @property
    def ended(self) -> bool:
        """Whether :meth:`end` was called."""
        return bool(self._options.terminate)

    def end(self) -> None:
        """Ends all runs, in any thread, and those that come: the version must not answer again."""
        self._options.terminate = True

    def warm(self, batch_sizes: Iterable[int], images: Images = _BLANK) -> None:
        """Runs each batch size once on ``images``; RuntimeLoadError if that fails."""
        for size in batch_sizes:
            try:
                self.run(np.resize(images, (size, 28, 28)))
            except Exception as error:
                failed = f"a run of {size} images failed: {_one_line(error)}"
                raise RuntimeLoadError(error if isinstance(error, RunError) else failed) from error


def _are_probabilities(rows: Probabilities, count: int) -> bool:
    """Whether these are ``count`` rows of ten numbers from 0 to 1 with the sum 1, and none NaN."""
    if rows.shape != (count, 10):
        return False
    if count == 1:  # without NumPy's arithmetic, whose calls cost a microsecond each
        (row,) = rows.tolist()
        return bool(LEAST_SUM < sum(row) < MOST_SUM and min(row) >= 0.0)
    with np.errstate(invalid="ignore"):
        sums = rows.dot(_TEN).tolist()
    # A comparison with NaN is false, so it must be each sum that lies between.
    return all(LEAST_SUM < each < MOST_SUM for each in sums) and bool(rows.min() >= 0.0)


def open_session(
    model: Path | bytes, provider: Provider
) -> tuple[ort.InferenceSession, str | None]:
    """Loads a model with any outputs; and why ``auto`` did not get CUDA. Raises as ``load``."""
    source = model if isinstance(model, bytes) else str(model)
    wanted: list[Any] = [CPU]
    missing = None
    if provider != "cpu" and CUDA not in ort.get_available_providers():
        missing = "this build of onnxruntime has no CUDA provider (install the extra gpu)"
    elif provider != "cpu":
        # CUDA and cuDNN come as Python packages; this puts them on the loader's path.
        ort.preload_dlls()
        wanted.insert(0, (CUDA, CUDA_OPTIONS))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            session = ort.InferenceSession(source, _options(), providers=wanted, enable_fallback=0)
    except Exception as error:
        raise RuntimeLoadError(_one_line(error)) from error
    if len(wanted) > 1 and CUDA not in session.get_providers():
        # The wheel has CUDA but its libraries or driver did not load: ONNX Runtime only logs that.
        missing = "its libraries or the driver could not be loaded"
    if provider == "cuda" and missing:
        raise RuntimeLoadError(f"provider cuda does not work here: {missing}")
    return session, missing


def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # Shapes vary from run to run: memory patterns for each would only hold memory.
    options.enable_mem_pattern = False
    options.log_severity_level = 4  # this module raises what fails
    for entry in (
        "intra_op.allow_spinning=0",
        "inter_op.allow_spinning=0",
        f"model_external_initializers_file_folder_path={os.devnull}",  # a model is one file
        "record_ep_graph_assignment_info=1",
    ):
        options.add_session_config_entry(*f"session.{entry}".split("="))
    return options


def _check_ends(session: ort.InferenceSession) -> None:
    for kind, ends, name, dtype, tail in (
        ("input", session.get_inputs(), INPUT, "tensor(uint8)", [28, 28]),
        ("output", session.get_outputs(), OUTPUT, "tensor(float)", [10]),
    ):
        as_wanted = [(e.name, e.type, e.shape[1:]) for e in ends] == [(name, dtype, tail)]
        if not as_wanted or isinstance(ends[0].shape[0], int):
            found = ", ".join(f"{e.name} {e.type} {e.shape}" for e in ends) or "nothing"
            wanted = f"{name} {dtype} ['batch', {', '.join(map(str, tail))}]"
            raise RuntimeLoadError(f"the model's {kind} is {found}; wanted {wanted}")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


_LOOKS = 40
"""How often a run is seen before it is ended. Looks are counted instead of seconds, so that nobody
blames a run for the time in which the whole process was stopped."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.01, 0.25


class Watchdog:
    """A thread that ends runs of more than ``limit_s``; the event loop may be inside of one."""

    def __init__(self, limit_s: float) -> None:
        self._pause = min(max(limit_s / _LOOKS, _SHORTEST_PAUSE), _LONGEST_PAUSE)
        self._looks = round(limit_s / self._pause)
        self._seen = WeakKeyDictionary[Runtime, dict[tuple[int, float], int]]()
        """How often each run of each model that is watched was seen."""
        self._adding = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def watch(self, runtime: Runtime) -> None:
        """Watches the runs of this model for as long as it is loaded."""
        with self._adding:
            self._seen[runtime] = {}
            if not self._thread.ident:
                self._thread.start()

    def close(self) -> None:
        """Ends the thread."""
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(self._pause):
            self._look()  # whose frame goes, and with it the last reference to a model

    def _look(self) -> None:
        with self._adding:
            for runtime, before in list(self._seen.items()):
                runs = runtime.begun.copy().items()
                self._seen[runtime] = seen = {run: before.get(run, 0) + 1 for run in runs}
                if max(seen.values(), default=0) > self._looks:
                    runtime.end()
