"""Loads, warms and runs one model file on ONNX Runtime, for the service and for training."""

from __future__ import annotations

import os
import threading
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from service.errors import MissingRuntime
from service.types import INPUT, OUTPUT, Images, Probabilities

try:
    import onnxruntime as ort
except ModuleNotFoundError as error:
    raise MissingRuntime from error

if TYPE_CHECKING:
    from service.settings import Provider


CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
# Convolution algorithms are chosen by heuristic, since the exhaustive search would run again for
# every new batch size; TF32 is off, since it changes digits beyond the proof's tolerance.
CUDA_OPTIONS = {
    "cudnn_conv_algo_search": "HEURISTIC",
    "arena_extend_strategy": "kSameAsRequested",
    "use_tf32": "0",
}

_NVIDIA = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg")
"""What the driver makes on Linux; the last on Windows' Linux."""
WARM_SECONDS = 10.0
"""The longest that one execution may take while a version is warmed."""

ort.disable_telemetry_events()
# Its own warnings go to stderr and not to the log; the provider report has what matters.
ort.set_default_logger_severity(3)


class RuntimeLoadError(Exception):
    """The file cannot be loaded, or is not of the contract's form; one line says why."""


@dataclass(frozen=True, slots=True)
class ProviderReport:
    """What a session really runs on, as the session itself reports it."""

    requested: Provider
    active: Literal["cpu", "cuda"]
    fallback: str | None
    """Why ``auto`` did not get CUDA; None if it did, or for another provider."""
    nodes: dict[str, int]
    """Graph nodes by execution provider, as ONNX Runtime placed them."""
    onnxruntime: str


class Runtime:
    """One loaded model. Any number of threads may call ``run``; each executes it alone."""

    def __init__(self, session: ort.InferenceSession, report: ProviderReport) -> None:
        self._run = session.run
        self.report = report
        self.metadata: dict[str, str] = dict(session.get_modelmeta().custom_metadata_map)

    @classmethod
    def load(cls, model: Path | bytes, *, provider: Provider = "auto") -> Runtime:
        """Loads a model file, or its bytes.

        Raises :class:`RuntimeLoadError` if ONNX Runtime rejects it, if it has another input than
        ``image`` uint8 [batch, 28, 28] or another output than ``probabilities`` float32
        [batch, 10], or if ``provider="cuda"`` does not work here.
        """
        session, fallback = _open(model, provider)
        _check_ends(session)
        nodes = Counter[str]()
        for item in session.get_provider_graph_assignment_info():
            nodes[item.ep_name] += len(item.get_nodes())
        active: Literal["cpu", "cuda"] = "cuda" if nodes.get(CUDA) else "cpu"
        if provider == "cuda" and active != "cuda":
            raise RuntimeLoadError("provider cuda: no node of the model was placed on CUDA")
        report = ProviderReport(provider, active, fallback, dict(nodes), ort.__version__)
        return cls(session, report)

    def run(self, images: Images) -> Probabilities:
        """Returns the probabilities (n, 10) float32 of images (n, 28, 28) uint8."""
        result: Probabilities = self._run([OUTPUT], {INPUT: images})[0]
        return result

    def warm(self, batch_sizes: Iterable[int]) -> None:
        """Runs each batch size once, so that no caller pays for the first allocations.

        Raises :class:`RuntimeLoadError` if a run fails, takes longer than ``WARM_SECONDS``, or
        returns rows that do not sum to 1.
        """
        for size in batch_sizes:
            options = ort.RunOptions()
            timer = threading.Timer(WARM_SECONDS, setattr, (options, "terminate", True))
            timer.daemon = True
            timer.start()
            try:
                images = np.zeros((size, 28, 28), np.uint8)
                probabilities = self._run([OUTPUT], {INPUT: images}, options)[0]
            except Exception as error:
                late = f"took longer than {WARM_SECONDS:g} s"
                why = late if options.terminate else f"failed: {_one_line(error)}"
                raise RuntimeLoadError(f"a run of {size} images {why}") from error
            finally:
                timer.cancel()
            sums = probabilities.sum(axis=1)
            if probabilities.shape != (size, 10) or not np.allclose(sums, 1.0, atol=1e-4):
                raise RuntimeLoadError(f"a run of {size} images gave no {size} x 10 probabilities")


def has_nvidia_device() -> bool:
    """Whether the driver of an NVIDIA device is there, even if it does not work."""
    return any(Path(path).exists() for path in _NVIDIA)


def _open(model: Path | bytes, provider: Provider) -> tuple[ort.InferenceSession, str | None]:
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
    # This module raises what fails; ONNX Runtime would also write it to stderr.
    options.log_severity_level = 4
    for name, value in (
        ("intra_op.allow_spinning", "0"),
        ("inter_op.allow_spinning", "0"),
        # A model is one file: it must not read weights from another.
        ("model_external_initializers_file_folder_path", os.devnull),
        ("record_ep_graph_assignment_info", "1"),
    ):
        options.add_session_config_entry(f"session.{name}", value)
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
