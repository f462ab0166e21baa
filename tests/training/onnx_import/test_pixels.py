"""A scale is one sum, as an array and as ONNX nodes."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.training.onnx_import import strangers
from training.onnx_import.options import SCALES, Scale, scale_of
from training.onnx_import.pixels import Chain, Pixels

IMAGES = strangers.dataset().test_images[:5].copy()
IMAGES[3], IMAGES[4] = 0, 255


def by_nodes(pixels: Pixels, opset: int) -> np.ndarray:
    """The scale's nodes, run on :data:`IMAGES`."""
    chain = Chain("image", opset, "p_")
    chain.add("Cast", "image", to=TensorProto.FLOAT)
    pixels.nodes(chain)
    graph = helper.make_graph(
        chain.nodes,
        "pixels",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 28, 28])],
        [helper.make_tensor_value_info(chain.end, TensorProto.FLOAT, ["n", 28, 28])],
        [numpy_helper.from_array(value, name) for name, value in chain.constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString())
    result: np.ndarray = session.run(None, {"image": IMAGES})[0]
    return result


@pytest.mark.parametrize("opset", [7, 12, 13, 18, 21])
@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("scale", SCALES, ids=lambda scale: str(scale.name))
def test_nodes_and_array_agree(scale: Scale, inverted: bool, opset: int) -> None:
    pixels = Pixels(scale, inverted)
    wanted = pixels.array(IMAGES)
    assert wanted.dtype == np.float32
    np.testing.assert_allclose(by_nodes(pixels, opset), wanted, rtol=1e-6, atol=1e-6)


def test_padding_is_a_border_and_resizing_is_that_of_pillow() -> None:
    padded = Pixels(scale_of("0..1"), False, "padded", 32).array(IMAGES)
    assert (padded == strangers.padded(IMAGES)).all()
    resized = Pixels(scale_of("0..255"), False, "resized", 32).array(IMAGES)
    # Pillow rounds to whole pixels.
    np.testing.assert_allclose(resized, strangers.resized(IMAGES) * 255, atol=1)


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [
        ("0..1", 0, 1),
        ("0..255", 0, 255),
        ("standardised", -0.4242, 2.8215),
        ("-1..1", -1, 1),
        ("-0.5..0.5", -0.5, 0.5),
        ("0.5,0.25", -2, 2),
    ],
)
def test_a_scale_brings_black_and_white_where_its_name_says(
    name: str, lowest: float, highest: float
) -> None:
    light = Pixels(scale_of(name), False).array(IMAGES)
    dark = Pixels(scale_of(name), True).array(IMAGES)
    assert light[3].max() == pytest.approx(lowest, abs=1e-4)
    assert light[4].min() == pytest.approx(highest, abs=1e-4)
    assert (dark[3] == light[4]).all()
    assert (dark[4] == light[3]).all()


def test_per_image_gives_each_image_mean_0_and_deviation_1_and_leaves_flat_ones_at_0() -> None:
    pixels = Pixels(scale_of("per image"), False).array(IMAGES)
    np.testing.assert_allclose(pixels[:3].mean(axis=(1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(pixels[:3].std(axis=(1, 2)), 1, atol=1e-5)
    np.testing.assert_allclose(pixels[3:], 0, atol=1e-4)


@pytest.mark.parametrize("text", ["bright", "1", "1,2,3", "nan,1", "0,0", "0,-1", "0,inf", ""])
def test_what_is_no_scale_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        scale_of(text)
