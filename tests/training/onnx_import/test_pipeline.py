"""The import of models as other libraries export them: what they expect is detected."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from service.inference.runtime import Runtime
from tests.training.onnx_import import exported, hostile
from tests.training.onnx_import.conftest import Import, Reference
from tests.training.onnx_import.exported import mlp
from training.data.loading import load
from training.errors import TrainingError
from training.measure.robustness.corruptions import CORRUPTIONS
from training.onnx_import.simplify import expose, standardise

ROOT = Path(__file__).parents[3]
IF = """late = If<
    then_branch = a () => (float[n,784] y) { y = Mul(pixels, one) },
    else_branch = b () => (float[n,784] z) { z = Identity(pixels) }
>(yes)"""


def answers(model: bytes, count: int = 50) -> np.ndarray:
    """The probabilities that a wrapped model serves for test images."""
    return Runtime.load(model, provider="cpu").run(exported.dataset().test_images[:count])


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ({}, {"layout": "[n,784]", "scale": "0..1", "ink": "light on dark", "answer": "logits"}),
        ({"scale": "0..255"}, {"scale": "0..255"}),
        ({"scale": "standardised"}, {"scale": "standardised"}),
        ({"scale": "-1..1"}, {"scale": "-1..1"}),
        ({"ink": "dark on light"}, {"scale": "0..1", "ink": "dark on light"}),
        ({"shape": "n,1,28,28"}, {"layout": "[n,1,28,28]"}),
        ({"shape": "n,28,28,1"}, {"layout": "[n,28,28,1]"}),
        ({"shape": "n,28,28"}, {"layout": "[n,28,28]"}),
        ({"shape": "1,1,28,28"}, {"layout": "[1,1,28,28]"}),
        ({"shape": "4,28,28,1"}, {"layout": "[4,28,28,1]"}),
        ({"shape": "n,c,h,w"}, {"layout": "[n,1,28,28]"}),
        ({"answer": "Softmax"}, {"answer": "probabilities"}),
        ({"answer": "LogSoftmax"}, {"answer": "logits"}),
        ({"answer": "Sigmoid"}, {"answer": "probabilities"}),
    ],
    ids=lambda value: "-".join(value.values()),
)
def test_the_form_is_detected_and_the_wrapped_model_takes_any_batch(
    imported: Import, reference: Reference, written: dict[str, Any], found: dict[str, str]
) -> None:
    model, facts = imported(mlp(**written))
    assert found.items() <= facts["imported"]["found"].items()
    assert facts["imported"]["found"]["accuracy"] > 0.6
    got = answers(model)
    np.testing.assert_allclose(got.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(got[:7], answers(model, 7), atol=1e-6)
    if not written.keys() & {"scale", "ink"} and "Sigmoid" not in written.values():
        np.testing.assert_allclose(got, answers(reference()), atol=1e-6)


def test_a_model_of_whole_pixels_gets_them_as_they_are(imported: Import) -> None:
    found = imported(exported.whole_pixels())[1]["imported"]["found"]
    assert (found["scale"], found["layout"]) == ("0..255", "[n,28,28,1]")


@pytest.mark.parametrize(
    ("shape", "constant"),
    [([1, 784], "value"), ([1, -1], "value"), ([-1, 784], "value"), ([1, 784], "value_ints")],
)
def test_fixed_shapes_are_freed(
    imported: Import, reference: Reference, shape: list[int], constant: str
) -> None:
    model, _ = imported(exported.fixed_reshape(shape, constant))
    free = reference("standardised", "n,1,28,28")
    np.testing.assert_allclose(answers(model), answers(free), atol=1e-6)


def test_a_batch_axis_that_is_free_by_name_only_is_freed(imported: Import) -> None:
    built = exported.fixed_reshape()
    for value in (built.graph.input[0], built.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "n"
    assert imported(built)[1]["imported"]["found"]["layout"] == "[1,1,28,28]"


def test_a_graph_whose_batch_cannot_be_freed_is_rejected_with_advice(imported: Import) -> None:
    with pytest.raises(TrainingError, match="it takes 1 at a time: export it with a free batch"):
        imported(exported.before_pixels("late = Gather<axis = 0>(pixels, zero)", zero=[0]))


def test_the_model_zoos_network_is_imported(imported: Import) -> None:
    """Structure of mnist-8: raw pixels, batch 1, IR version 3, weights among the inputs."""
    _, facts = imported(exported.cntk())
    found = facts["imported"]["found"]
    assert (found["layout"], found["scale"]) == ("[1,1,28,28]", "0..255")
    assert (facts["imported"]["opset"], facts["imported"]["ir_version"]) == (8, 3)
    assert facts["test"]["accuracy"] > 0.85


def test_the_model_zoos_oldest_operator_set_is_converted(imported: Import) -> None:
    """mnist-1 has operator set 1: shapes and broadcasting are attributes."""
    old = onnx.shape_inference.infer_shapes(exported.cntk())
    old.opset_import[0].version = 1
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in old.graph.initializer}
    for node in old.graph.node:
        if node.op_type == "Reshape":
            shape = shapes[node.input.pop()].tolist()
            node.attribute.append(helper.make_attribute("shape", shape))
        elif node.op_type == "Add" and node.input[1] != "Parameter194":
            node.attribute.append(helper.make_attribute("broadcast", 1))
    model, facts = imported(old)
    assert facts["imported"]["opset"] == 1
    np.testing.assert_allclose(answers(model), answers(imported(exported.cntk())[0]), atol=1e-6)


@pytest.mark.parametrize(
    "build",
    [
        *(partial(exported.scikit_network, kind) for kind in ("float", "double")),
        *(partial(exported.scikit_linear, scores) for scores in ("SOFTMAX", "LOGISTIC")),
    ],
    ids=["network", "double", "linear", "one against the rest"],
)
def test_what_skl2onnx_writes_is_imported(
    imported: Import, build: Callable[[], ModelProto]
) -> None:
    model, facts = imported(build())
    assert {n.domain for n in onnx.load_from_string(model).graph.node} == {""}
    assert facts["imported"]["found"]["answer"] == "probabilities"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning")  # of tf2onnx
def test_the_file_that_keras_exports_is_imported(
    imported: Import, reference: Reference, tmp_path: Path
) -> None:
    import keras

    layers, weights = keras.layers, exported.network()
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Flatten(),
            layers.Dense(128, "relu"),
            layers.Dense(10, "softmax"),
        ]
    )
    model.set_weights([weights[name] for name in ("w1", "b1", "w2", "b2")])
    model(np.zeros((1, 28, 28, 1)))
    model.export(tmp_path / "keras.onnx", format="onnx", verbose=False)
    wrapped, facts = imported(onnx.load(tmp_path / "keras.onnx"))
    found = facts["imported"]["found"]
    assert (found["layout"], found["scale"]) == ("[n,28,28,1]", "0..1")
    np.testing.assert_allclose(answers(wrapped), answers(reference()), atol=1e-6)


def test_a_version_of_ours_with_the_same_names_is_imported(imported: Import) -> None:
    original = (ROOT / "models/mnist/1/model.onnx").read_bytes()
    model, facts = imported(onnx.load_from_string(original))
    assert facts["imported"]["found"]["layout"] == "[n,28,28]"
    np.testing.assert_allclose(answers(model), answers(original), atol=1e-6)


@pytest.mark.parametrize(
    "built", [hostile.doubling(depth=3), exported.before_pixels(IF, one=np.float32(1), yes=True)]
)
def test_functions_and_inner_graphs_are_imported(
    imported: Import, reference: Reference, built: ModelProto
) -> None:
    model, _ = imported(built)
    assert {node.domain for node in onnx.load_from_string(model).graph.node} == {""}
    np.testing.assert_array_equal(answers(model), answers(reference()))


def test_of_several_outputs_the_one_with_the_digits_is_found(imported: Import) -> None:
    built = mlp(answer="Softmax")
    built.graph.output.insert(0, helper.make_tensor_value_info("hidden", 1, ["n", 128]))
    assert imported(built)[1]["imported"]["found"]["output"] == "answer"
    del built.graph.output[1:]
    with pytest.raises(TrainingError, match=r"it returns 128 \(hidden\) numbers"):
        imported(built)


def test_what_the_user_sets_is_not_detected(imported: Import) -> None:
    _, facts = imported(mlp(), scale="0.1,0.9")
    assert {form["scale"] for form in facts["imported"]["measured"]} == {"0.1,0.9"}
    with pytest.raises(TrainingError, match=r"its input is uint8; use --scale 0\.\.255"):
        imported(exported.whole_pixels(), scale="0..1")


def changed(opset: int = 17, ir: int = 8, domain: str = "", kind: int = 1) -> ModelProto:
    built = mlp()
    built.opset_import[0].version, built.ir_version = opset, ir
    built.graph.node[1].domain = domain
    built.graph.input[0].type.tensor_type.elem_type = kind
    return built


TREE = "g (float[n,784] a) => (float[n,10] y) { x, y = ai.onnx.ml.TreeEnsembleClassifier(a) }"
TWO = "g (float[n,784] a, float[n,784] b) => (float[n,784] y) { y = Add(a, b) }"
DIGIT = "g (float[n,784] a) => (int64[n,1] y) { y = ArgMax<axis = 1>(a) }"


@pytest.mark.parametrize(
    ("built", "why"),
    [
        (hostile.classes(11), r"it returns 11 \(logits\) numbers an image; expected 10"),
        (hostile.classes(1), r"it returns 1 \(logits\) numbers an image; expected 10"),
        (hostile.classes(10), "% of 2048 images right at best .* set --scale MEAN,DEVIATION"),
        (exported.model(TREE, {}), "outside the standard set: ai.onnx.ml TreeEnsembleClassifier"),
        (changed(domain="com.microsoft"), "outside the standard set: com.microsoft MatMul"),
        (changed(opset=99), r"cannot load it \(opset 99, IR version 8\): .*pset"),
        (changed(ir=99), r"cannot load it \(opset 17, IR version 99\): .*99"),
        (changed(opset=3), "opset 3 cannot be converted to 9: "),
        (mlp(shape="n,1,32,32"), r"nx1x32x32\]; expected numbers of shape \[n,1,28,28\]"),
        (changed(kind=TensorProto.STRING), r"STRING, nx784\]; expected numbers"),
        (exported.model(TWO, {}), r"it has 2 inputs \(a, b\); expected 1"),
        (exported.model(DIGIT, {}), "none of its outputs is a tensor of floating point numbers"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_models_are_rejected(imported: Import, built: ModelProto, why: str) -> None:
    """One line says why."""
    with pytest.raises(TrainingError, match=why) as caught:
        imported(built)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


def test_the_original_model_is_left_as_it_was() -> None:
    built = exported.scikit_network()
    before = built.SerializeToString(deterministic=True)
    standardise(expose(built), "answer")
    assert built.SerializeToString(deterministic=True) == before


def test_the_figures_are_those_of_the_file_that_serves(imported: Import, data: Path) -> None:
    dataset, (model, parts) = load(data), imported(mlp())
    runtime = Runtime.load(model, provider="cpu")
    faded = runtime.run(CORRUPTIONS["contrast x 0.5"](dataset.test_images)).argmax(axis=1)
    assert parts["robustness"]["contrast x 0.5"] == np.mean(faded == dataset.test_labels)
    sure = runtime.run(dataset.test_images).max(axis=1)
    doubt = parts["doubt"]
    assert doubt["digits"]["pass"] == np.mean(sure >= doubt["threshold"])
    assert doubt["chosen_on"]["images"] == 2048
