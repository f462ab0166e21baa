from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import pytest

from tests.training.digits import few, python
from training.config import Config, Optimizer
from training.data.loading import Split, split
from training.export.verify import verify

pytestmark = pytest.mark.usefixtures("few_drawings")

AFFINE: dict[str, Any] = {"shift": 2.0, "rotation": 10.0, "scale": 0.1, "shear": 5.0}


def small(**knobs: Any) -> Config:
    settings: dict[str, Any] = {"architecture": "mlp", "hidden_units": (16,), "epochs": 3}
    return Config(**({"batch_size": 32} | settings | knobs))


def parts() -> Split:
    return split(few(), 0.25, seed=0)


def run(config: Config, split_: Split, **options: Any) -> tuple[Any, Any]:
    from training.network import architectures, fit

    fit.prepare(config)
    network = architectures.build(config)
    return network, fit.fit(network, config, split_, **options)


def accuracy(network: Any) -> float:
    digits = np.asarray(network(parts().validation_images)).argmax(axis=1)
    return float((digits == parts().validation_labels).mean())


LEARNING: list[dict[str, Any]] = [
    *({"optimizer": name, "learning_rate": 0.005} for name in get_args(Optimizer)[2:]),
    {"optimizer": "sgd", "learning_rate": 0.1},
    {"optimizer": "momentum", "learning_rate": 0.02},
    {"loss": "mean_squared_error", "learning_rate": 0.01},
]


@pytest.mark.parametrize("knobs", LEARNING)
def test_every_optimizer_and_both_losses_learn(knobs: dict[str, Any]) -> None:
    _, history = run(small(**knobs), parts())
    losses = [epoch.loss for epoch in history.epochs]
    assert losses[0] > losses[1] > losses[2]
    assert history.epochs[-1].validation_accuracy > 0.4


def test_weight_decay_shrinks_the_weights() -> None:
    configs = (small(learning_rate=0.01, weight_decay=decay) for decay in (0.0, 0.5))
    kept, shrunk = (np.abs(run(each, parts())[0].get_weights()[0]).sum() for each in configs)
    assert shrunk < 0.95 * kept


def test_the_history_has_every_epoch_and_its_duration() -> None:
    told: list[Any] = []
    steps: list[Any] = []
    network, history = run(
        small(),
        parts(),
        on_batch=lambda *step: steps.append(step[:4]),
        on_epoch=lambda epoch, of: told.append((epoch, of)),
    )
    assert told == [(epoch, 3) for epoch in history.epochs]
    assert [epoch.epoch for epoch in history.epochs] == [1, 2, 3]
    assert steps == [(epoch, 3, step, 10) for epoch in (1, 2, 3) for step in range(1, 11)]
    assert history.best_epoch == 3
    assert 0 < history.epochs[0].seconds < history.seconds == history.epochs[-1].seconds
    assert history.cpu_seconds > 0
    assert history.epochs[-1].validation_accuracy == pytest.approx(accuracy(network), abs=1e-6)
    _, history = run(small(epochs=1), split(few(), 0.0, seed=0))
    assert (history.epochs[0].validation_loss, history.epochs[0].validation_accuracy) == (None,) * 2


def test_early_stopping_ends_the_run_and_keeps_the_best_epochs_weights() -> None:
    config = small(learning_rate=0.05, epochs=50, early_stopping=2)
    network, history = run(config, parts())
    losses = [epoch.validation_loss for epoch in history.epochs]
    assert len(losses) < 50
    assert history.best_epoch == int(np.argmin(losses)) + 1 == len(losses) - 2
    kept = history.epochs[history.best_epoch - 1].validation_accuracy
    assert accuracy(network) == pytest.approx(kept, abs=1e-6)


RANDOM: dict[str, Any] = {
    "architecture": "cnn",
    "filters": (4, 8),
    "batch_normalization": True,
    "dropout": 0.2,
    "epochs": 2,
    **AFFINE,
}
PRINT_WEIGHTS = (
    "import gc; gc.disable(); "  # see load_tensorflow
    "from tests.training.network.test_fit import *; "
    "print(fingerprint(run(small(**RANDOM), parts())[0]))"
)


STAGES: dict[str, Any] = {
    "architecture": "valid_cnn",
    "filters": (4, 8, 8),
    "batch_normalization": True,
    "optimizer": "muon",
    "learning_rate": 0.01,
    "precision": "bfloat16",
    "clean_epochs": 2,
    "epochs": 1,
    "clean_share": 0.3,
    "wild": 0.2,
    "corruption": 0.3,
    "printed": 0.1,
    "written": 0.1,
    "non_digits": 0.1,
    **AFFINE,
}


def fingerprint(network: Any) -> str:
    return hashlib.sha256(b"".join(map(bytes, network.get_weights()))).hexdigest()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights() -> None:
    """Bit for bit, with everything random in use: first weights, order, augmentation, dropout.

    In this process, whatever ran before, and in a new one.
    """
    other, first = (fingerprint(run(small(**RANDOM, seed=seed), parts())[0]) for seed in (1, 0))
    assert first != other
    assert python("-c", PRINT_WEIGHTS)[1] == [first]


@pytest.mark.campaign
def test_a_network_trained_in_bfloat16_is_exported_and_verified_in_float32(tmp_path: Path) -> None:
    """The published file agrees with Keras to 1e-5, on real digits and the probes."""
    from training.export import convert
    from training.network import architectures, evaluate

    trained, history = run(small(**STAGES), parts())
    assert ([epoch.epoch for epoch in history.epochs], history.best_epoch) == ([1, 2, 3], 3)
    network = architectures.as_float32(trained, small(**STAGES))
    classifier = architectures.with_probabilities(network)
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}
    convert.export(classifier, tmp_path / "model.onnx")
    types = {tensor.data_type for tensor in onnx.load(tmp_path / "model.onnx").graph.initializer}
    assert onnx.TensorProto.BFLOAT16 not in types
    digits = few()
    reference = partial(evaluate.probabilities, classifier)
    proof = verify(tmp_path / "model.onnx", reference, digits.test_images, digits.test_labels)
    assert proof.largest_difference <= 1e-5


@pytest.mark.campaign
def test_the_clean_stage_alone_is_what_a_share_of_one_keeps() -> None:
    knobs = {**STAGES, "precision": "float32", "clean_share": 1.0}
    mixed, _ = run(small(**knobs), parts())
    others = ("wild", "corruption", "printed", "written", "non_digits", "clean_share")
    clean = dict.fromkeys(others, 0.0) | {"clean_epochs": 0, "epochs": 2, "learning_rate": 0.02}
    alone, _ = run(small(**{**knobs, **clean}), parts())
    for kept, same in zip(mixed.trainable_weights, alone.trainable_weights, strict=True):
        np.testing.assert_array_equal(kept, same)


@pytest.mark.parametrize(("flags", "half"), [("fma avx512_bf16 sha", True), ("fma avx2", False)])
def test_auto_is_bfloat16_where_the_processor_has_it(
    flags: str, half: bool, tmp_path: Path
) -> None:
    from training.network import fit

    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"flags\t\t: {flags}\n")
    assert fit.in_bfloat16("auto", cpuinfo) is half
    assert fit.in_bfloat16("auto", tmp_path / "none") is False
    assert fit.in_bfloat16("float32", cpuinfo) is False
    assert fit.in_bfloat16("bfloat16", tmp_path / "none") is True
