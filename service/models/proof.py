"""Proves a version: it loads and answers real digits and noise, in a process of its own.

A graph may loop once there is ink, ask for all memory, or crash ONNX Runtime. A proof holds for the
bytes of the file and this ONNX Runtime; ``<cache>/mnist-serve`` notes it, for all later starts.
"""

import fcntl
import json
import os
import re
import resource
import signal
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np

from service.inference.runtime import ONNXRUNTIME, Runtime, RuntimeLoadError
from service.models.repository import Repository, RepositoryError
from service.types import Images

PROOF_SECONDS = 25  # the longest that a proof may take
_MEMORY_BYTES, _MEMORY_FACTOR = 256 << 20, 6
"""What the process may hold: so much, and so many times the largest model."""
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_UNREADABLE = 3  # the exit status if the files cannot be read or are not those that were published
_NOT_HEX = re.compile(r"[^0-9a-f]")
_REVISION = 1  # part of a note's name; a proof that asks for more gets another one


class ProofError(Exception):
    """The version must not be loaded; one line says why."""


def prove(repository: Repository, version: int, batch_rows: int) -> None:
    """Returns once the version is proved; ProofError if it fails, RuntimeLoadError if none runs."""
    digest = _NOT_HEX.sub("", repository.card(version)["sha256"])
    with ExitStack() as held:
        note = None
        with suppress(OSError, RuntimeError):  # RuntimeError: this user has no home
            path = _folder() / f"{digest}-{ONNXRUNTIME}-{_REVISION}"
            note = held.enter_context(path.open("a+b", buffering=0))
            fcntl.flock(note, fcntl.LOCK_EX)  # so that the workers of one service prove once
            note.seek(0)
            if note.read():
                return
        _run(repository, version, batch_rows)
        if note:
            with suppress(OSError):
                note.write(b"proved\n")


def samples() -> Images:
    """Returns images (n, 28, 28): ten digits of MNIST's test set, noise, and no ink."""
    digits = np.load(Path(__file__).with_name("digits.npy"))
    noise = np.random.default_rng(0).integers(0, 256, (10, 28, 28), np.uint8)
    return np.concatenate([digits, noise, np.zeros_like(digits[:2])])


def main(request: str) -> int:
    """The process that loads the version; prints why it must not be loaded."""
    root, version, rows, model_bytes, seconds = json.loads(request)
    memory_bytes = _MEMORY_BYTES + _MEMORY_FACTOR * model_bytes
    bound_this_process(memory_bytes, seconds)
    try:
        _, model = Repository(Path(root), model_bytes).read(version)
        Runtime.load(model, provider="cpu").warm((1, len(samples()), rows), samples())
    except MemoryError:
        print(f"it needs more than {memory_bytes:,} bytes of memory")
    except (RuntimeLoadError, RepositoryError) as error:
        print(error)
        return _UNREADABLE if isinstance(error, RepositoryError) else 0
    return 0


def _run(repository: Repository, version: int, rows: int) -> None:
    root, model_bytes = str(repository.root.absolute()), repository.model_bytes
    request = root, version, rows, model_bytes, PROOF_SECONDS
    # -P leaves out the current folder, in which a `numpy.py` may lie, and -S what the parent's path
    # already has. No secret is passed on.
    packages = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])
    own = {name: text for name, text in os.environ.items() if not name.startswith("MNIST_")}
    try:
        ended = subprocess.run(  # noqa: S603 - this program's own interpreter
            [sys.executable, "-P", "-S", "-m", __name__, json.dumps(request)],
            env=own | {"PYTHONPATH": packages, **_ONE_THREAD},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=2 * PROOF_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeLoadError(f"it could not be proved: {error}") from None
    status = ended.returncode
    if status == -signal.SIGKILL:
        raise RuntimeLoadError("its proof was killed, as when the memory runs out")
    if reason := ended.stdout.decode("utf-8", "replace").strip()[:300]:
        raise (RepositoryError if status == _UNREADABLE else ProofError)(reason)
    if status == -signal.SIGALRM:
        raise ProofError(f"its proof took longer than {PROOF_SECONDS} s")
    if status:
        raise ProofError(f"its proof crashed with status {status}")


def bound_this_process(memory_bytes: int, seconds: int) -> None:
    """Bounds time and memory. Where the memory runs out, the kernel ends this process first."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)
    for kind, most in ((resource.RLIMIT_DATA, memory_bytes), (resource.RLIMIT_CORE, 0)):
        with suppress(ValueError, OSError):  # the hard limit is lower
            resource.setrlimit(kind, (most, most))
    with suppress(OSError):  # only Linux has it
        Path("/proc/self/oom_score_adj").write_text("1000")


def _folder() -> Path:
    """Returns the folder of the notes. Raises OSError unless this user alone can write to it."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "mnist-serve"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise PermissionError
    return folder


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
