"""Models as other libraries write them are taken in: what they want is found and proved."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

from service.inference.runtime import Runtime
from tests.training.onnx_import import hostile, strangers, zoo
from tests.training.onnx_import.conftest import Take
from tests.training.onnx_import.strangers import mlp
from training.onnx_import import AdoptError
from training.onnx_import.read import tensors
from training.onnx_import.simplify import plain


@pytest.mark.parametrize(
    ("prepare", "scale", "ink"),
    [
        (strangers.unit, "0..1", "light on dark"),
        (strangers.raw, "0..255", "light on dark"),
        (strangers.standardised, "standardised", "light on dark"),
        (strangers.centred, "-1..1", "light on dark"),
        (strangers.own, "per image", "light on dark"),
        (strangers.dark, "0..1", "dark on light"),
    ],
    ids=["unit", "raw", "standardised", "centred", "own", "dark"],
)
def test_the_scale_and_the_ink_are_found(
    take: Take, prepare: strangers.Prepare, scale: str, ink: str
) -> None:
    found = take(mlp(prepare)).facts["imported"]["found"]
    assert (found["scale"], found["ink"]) == (scale, ink)
    assert found["accuracy"] > 0.6


@pytest.mark.parametrize(
    ("shape", "layout", "alone"),
    [
        (("n", 784), "[n,784]", False),
        (("n", 1, 28, 28), "[n,1,28,28]", False),
        (("n", 28, 28, 1), "[n,28,28,1]", False),
        (("n", 28, 28), "[n,28,28]", False),
        (("n", 1, 784), "[n,1,784]", False),
        ((1, 1, 28, 28), "[1,1,28,28]", False),
        ((4, 28, 28, 1), "[4,28,28,1]", False),
        ((28, 28), "[28,28]", True),
        ((784,), "[784]", True),
    ],
    ids=str,
)
def test_the_layout_is_found_and_the_batch_made_free(
    take: Take, shape: tuple[str | int, ...], layout: str, alone: bool
) -> None:
    imported = take(mlp(shape=shape)).facts["imported"]
    assert (imported["found"]["layout"], imported["one_at_a_time"]) == (layout, alone)


@pytest.mark.parametrize(
    ("prepare", "size"), [(strangers.padded, "padded"), (strangers.resized, "resized")]
)
def test_larger_images_are_padded_or_resized_as_the_model_wants(
    take: Take, prepare: strangers.Prepare, size: str
) -> None:
    """LeNet-5 is made for 32 x 32: PyTorch's users pad, MindSpore's tutorial resizes."""
    found = take(mlp(prepare, (1, 1, 32, 32))).facts["imported"]["found"]
    assert (found["layout"], found["size"]) == ("[1,1,32,32]", size)


@pytest.mark.parametrize(("shape", "axis"), [(("n", 3, 28, 28), 1), ((1, 28, 28, 3), 3)])
def test_a_model_of_three_colours_gets_three_times_grey(
    take: Take, shape: tuple[str | int, ...], axis: int
) -> None:
    built = mlp(shape=shape)
    built.graph.node.insert(0, helper.make_node("ReduceMean", ["pixels"], ["grey"], axes=[axis]))
    built.graph.node[1].input[0] = "grey"
    facts = take(built).facts
    assert facts["test"]["accuracy"] == take(mlp()).facts["test"]["accuracy"]


def test_axes_without_a_length_are_found_by_running(take: Take) -> None:
    built = mlp(shape=("n", "c", "h", "w"))
    assert take(built).facts["imported"]["found"]["layout"] == "[n,1,28,28]"


@pytest.mark.parametrize(
    ("operator", "answer"),
    [
        (None, "logits"),
        ("Softmax", "probabilities"),
        ("LogSoftmax", "log-probabilities"),
        ("Sigmoid", "scores"),
    ],
)
def test_what_the_output_is_is_found_and_made_probabilities(
    take: Take, operator: str | None, answer: str
) -> None:
    adopted = take(mlp(answer=operator))
    assert adopted.facts["imported"]["found"]["answer"] == answer
    images = strangers.dataset().test_images[:50]
    got = Runtime.load(adopted.model, provider="cpu").run(images)
    np.testing.assert_allclose(got.sum(axis=1), 1, atol=1e-6)
    if operator != "Sigmoid":
        logits = Runtime.load(take(mlp()).model, provider="cpu").run(images)
        np.testing.assert_allclose(got, logits, atol=1e-6)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_other_precisions_become_float32_near_the_file_as_it_came(take: Take, kind: int) -> None:
    adopted = take(mlp(strangers.standardised, ("n", 1, 28, 28), "LogSoftmax", kind=kind))
    kinds = {tensor.data_type for tensor in tensors(onnx.load_from_string(adopted.model))}
    assert kinds <= {TensorProto.FLOAT, TensorProto.INT64}
    original = adopted.facts["imported"]["original"]
    assert original["changed"]
    assert original["same_digit"] >= 198
    assert original["largest_difference"] < 2e-3


def test_a_double_graph_that_the_runtime_cannot_run_is_compared_by_the_reference(
    take: Take,
) -> None:
    """ONNX Runtime has no float64 convolution on the CPU."""
    built = mlp(shape=("n", 1, 28, 28), kind=TensorProto.DOUBLE)
    kernel = onnx.numpy_helper.from_array(np.ones((1, 1, 1, 1)), "kernel")
    built.graph.initializer.append(kernel)
    built.graph.node.insert(0, helper.make_node("Conv", ["pixels", "kernel"], ["same"]))
    built.graph.node[1].input[0] = "same"
    original = take(built).facts["imported"]["original"]
    assert (original["by"], original["same_digit"]) == ("onnx.reference", original["images"])


def test_a_model_of_whole_pixels_gets_them_as_they_are(take: Take) -> None:
    found = take(strangers.whole_pixels()).facts["imported"]["found"]
    assert (found["scale"], found["layout"]) == ("0..255", "[n,28,28,1]")


@pytest.mark.parametrize("shape", [[1, 784], [1, -1], [-1, 784]], ids=str)
def test_shapes_fixed_by_the_exporter_are_freed(take: Take, shape: list[int]) -> None:
    assert not take(strangers.fixed_reshape(1, shape)).facts["imported"]["one_at_a_time"]


def test_a_graph_that_cannot_be_freed_runs_in_a_loop(take: Take) -> None:
    adopted = take(strangers.first_image_only())
    assert adopted.facts["imported"]["one_at_a_time"]
    free = take(strangers.fixed_reshape())
    images = strangers.dataset().test_images[:9]
    in_loop, at_once = (
        Runtime.load(model, provider="cpu").run(images) for model in (adopted.model, free.model)
    )
    np.testing.assert_allclose(in_loop, at_once, atol=1e-6)


def test_a_batch_said_to_be_free_that_is_not(take: Take) -> None:
    built = strangers.fixed_reshape()
    for value in (built.graph.input[0], built.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "n"
    assert take(built).facts["imported"]["found"]["layout"] == "[1,1,28,28]"


def test_the_model_zoos_network_is_taken_in(take: Take) -> None:
    """Structure of mnist-8: raw pixels, batch 1, IR version 3, weights among the inputs."""
    adopted = take(zoo.cntk())
    imported = adopted.facts["imported"]
    assert imported["found"]["layout"] == "[1,1,28,28]"
    assert imported["found"]["scale"] == "0..255"
    assert (imported["opset"], imported["ir_version"]) == (8, 3)
    assert adopted.facts["test"]["accuracy"] > 0.85


def test_scikit_learns_networks_and_linear_models_are_taken_in(take: Take) -> None:
    for built in (
        strangers.scikit_network(),
        strangers.scikit_linear("SOFTMAX"),
        strangers.scikit_linear("LOGISTIC"),
    ):
        adopted = take(built)
        assert {n.domain for n in onnx.load_from_string(adopted.model).graph.node} == {""}
        assert adopted.facts["imported"]["found"]["answer"] == "probabilities"


def test_functions_are_inlined(take: Take) -> None:
    built = hostile.doubling(depth=3)
    model = onnx.load_from_string(take(built).model)
    assert not model.functions
    assert {node.domain for node in model.graph.node} == {""}


def test_probabilities_are_preferred_to_logits_and_an_output_can_be_named(take: Take) -> None:
    built = mlp(answer="Softmax")
    built.graph.output.insert(0, helper.make_tensor_value_info("logits", 1, ["n", 10]))
    built.graph.output.insert(0, helper.make_tensor_value_info("hidden", 1, ["n", 128]))
    assert take(built).facts["imported"]["found"]["output"] == "answer"
    assert take(built, output="logits").facts["imported"]["found"]["output"] == "logits"
    with pytest.raises(AdoptError, match="no output 'nothing'; it has hidden, logits, answer"):
        take(built, output="nothing")
    with pytest.raises(AdoptError, match=r"it gives 128 \(hidden\) numbers"):
        take(built, output="hidden")


def test_names_that_the_contract_uses_are_no_clash(take: Take) -> None:
    built = mlp()
    text = built.SerializeToString()
    for old, new in ((b"hidden", b"image"), (b"product", b"probabilities"), (b"sum", b"mnist_x")):
        assert old in text
        names = {old.decode(): new.decode()}
        for node in built.graph.node:
            node.input[:] = [names.get(name, name) for name in node.input]
            node.output[:] = [names.get(name, name) for name in node.output]
    assert take(built).facts["imported"]["found"]["scale"] == "0..1"


def test_a_strangers_words_cannot_write_to_the_terminal(take: Take) -> None:
    built = mlp()
    built.producer_name = "\x1b[2Jevil\n" * 50
    name = "\x1b[31mlogits\r\n"
    built.graph.node[-1].output[0] = built.graph.output[0].name = name
    imported = take(built).facts["imported"]
    assert imported["found"]["output"] == r"\x1b[31mlogits\x0d\x0a"
    assert imported["producer"].isprintable()
    assert len(imported["producer"]) < 200
    with pytest.raises(AdoptError, match="no output") as caught:
        take(built, output="other")
    assert str(caught.value).isprintable()


def test_what_the_user_fixes_is_not_guessed(take: Take) -> None:
    facts = take(mlp(), scale="0.1,0.9", ink="light on dark", layout="flat", answer="logits").facts
    measured = facts["imported"]["measured"]
    assert [form["scale"] for form in measured] == ["0.1,0.9"]
    with pytest.raises(AdoptError, match="layout NCHW does not fit"):
        take(mlp(), layout="NCHW")
    with pytest.raises(AdoptError, match="0 to 255 fit, no scale"):
        take(strangers.whole_pixels(), scale="0..1")


def new_opset() -> ModelProto:
    built = mlp()
    built.opset_import[0].version = 99
    return built


def new_ir() -> ModelProto:
    built = mlp()
    built.ir_version = 99
    return built


def foreign() -> ModelProto:
    built = mlp()
    built.graph.node[1].domain = "com.microsoft"
    return built


def wide() -> ModelProto:
    built = mlp()
    sizes = built.graph.input[0].type.tensor_type.shape.dim
    sizes[1].dim_value = 1000
    return built


def of_text() -> ModelProto:
    built = mlp()
    built.graph.input[0].type.tensor_type.elem_type = TensorProto.STRING
    return built


def two_inputs() -> ModelProto:
    built = mlp()
    built.graph.node[1].input[0] = "other"
    built.graph.node.insert(1, helper.make_node("Add", ["flat", "second"], ["other"]))
    built.graph.input.append(helper.make_tensor_value_info("second", 1, [1]))
    return built


def digits_only() -> ModelProto:
    built = mlp()
    built.graph.node.append(helper.make_node("ArgMax", ["logits"], ["digit"], axis=1))
    del built.graph.output[:]
    built.graph.output.append(helper.make_tensor_value_info("digit", TensorProto.INT64, ["n", 1]))
    return built


@pytest.mark.parametrize(
    ("built", "told"),
    [
        (hostile.classes(11), r"it gives 11 \(logits\) numbers an image; want 10"),
        (hostile.classes(1), r"it gives 1 \(logits\) numbers an image; want 10"),
        (hostile.blind(), "% of 2048 images right at best .* no form fits it"),
        (hostile.random_answers(), "its answers are random: RandomNormalLike"),
        (strangers.tree(), "outside the standard set: ai.onnx.ml TreeEnsembleClassifier"),
        (foreign(), "outside the standard set: com.microsoft MatMul"),
        (new_opset(), r"cannot load it: .*pset.*\(the file: opset 99, IR version 8\)"),
        (new_ir(), r"cannot load it: .*99.*\(the file: opset 17, IR version 99\)"),
        (wide(), r"its input is float \[n, 1000\]; no layout of digits fits it"),
        (of_text(), r"its input is string \[n, 784\], which no image"),
        (two_inputs(), r"it has 2 inputs \(pixels, second\); want 1"),
        (digits_only(), "none of its outputs is a tensor of floating point numbers"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_taken_in_is_refused_in_one_line(
    take: Take, built: ModelProto, told: str
) -> None:
    with pytest.raises(AdoptError, match=told) as caught:
        take(built)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


def test_the_model_that_came_is_left_as_it_was() -> None:
    built = strangers.scikit_network()
    before = built.SerializeToString(deterministic=True)
    plain(built)
    assert built.SerializeToString(deterministic=True) == before
