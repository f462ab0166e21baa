"""Loads TensorFlow on demand and without its messages, or says what to install."""

import gc
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from service.background.threads import worker_threads
from training.errors import TrainingError

PACKAGES = ("tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime", "matplotlib", "rich")


def require_packages() -> None:
    """Raises :class:`TrainingError` if a package of the ``train`` extra is not installed."""
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise TrainingError(
            f"not installed: {', '.join(missing)}; training needs "
            "pip install 'mnist-serve[train]', or make train in a clone"
        )


def load_tensorflow() -> None:
    """Imports TensorFlow, gives it as many threads as the container may use, and finds its GPUs."""
    with quiet_stderr():
        gc.disable()  # looking for garbage among its 4,000 modules took 2 s of a short run
        import tensorflow as tf

        gc.freeze()
        gc.enable()
        threads = worker_threads(workers=1)  # TensorFlow ignores a container's CPU quota
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        tf.config.list_logical_devices()  # complains about missing GPU drivers now, unheard


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hides what C++ code writes to file descriptor 2, unless the block raises."""
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except Exception:
            held_back.seek(0)
            os.write(kept, held_back.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
