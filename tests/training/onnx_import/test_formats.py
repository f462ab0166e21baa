"""A scale computes the same as an array and as ONNX nodes."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from tests.training.onnx_import import exported
from training.onnx_import.formats import Pixels
from training.onnx_import.graphs import Chain
from training.onnx_import.options import DARK, INKS, LIGHT, SCALES, Scale, scale_of

IMAGES = exported.dataset().test_images[:5].copy()
IMAGES[3], IMAGES[4] = 0, 255


def by_nodes(pixels: Pixels, opset: int) -> np.ndarray:
    """The scale's nodes, run on :data:`IMAGES`."""
    chain = Chain("image", "p/")
    chain.add("Cast", "image", to=TensorProto.FLOAT)
    pixels.add_nodes(chain)
    chain.add("Reshape", chain.end, chain.constant([-1, 28, 28], np.int64))
    start, end = (
        helper.make_tensor_value_info(name, kind, ["n", 28, 28])
        for name, kind in (("image", TensorProto.UINT8), (chain.end, TensorProto.FLOAT))
    )
    graph = helper.make_graph(chain.nodes, "pixels", [start], [end], chain.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString())
    result: np.ndarray = session.run(None, {"image": IMAGES})[0]
    return result


@pytest.mark.parametrize("opset", [7, 12, 13, 18, 21])
@pytest.mark.parametrize("ink", INKS)
@pytest.mark.parametrize("scale", SCALES, ids=lambda scale: str(scale.name))
def test_nodes_and_array_agree(scale: Scale, ink: str, opset: int) -> None:
    pixels = Pixels(scale, ink)
    wanted = pixels.array(IMAGES)
    assert wanted.dtype == np.float32
    np.testing.assert_allclose(by_nodes(pixels, opset), wanted, rtol=1e-6, atol=1e-6)


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
def test_a_scale_brings_black_and_white_to_the_ends_of_its_range(
    name: str, lowest: float, highest: float
) -> None:
    light, dark = (Pixels(scale_of(name), ink).array(IMAGES) for ink in (LIGHT, DARK))
    assert (light[3].max(), light[4].min()) == pytest.approx((lowest, highest), abs=1e-4)
    assert (dark[[3, 4]] == light[[4, 3]]).all()


def test_per_image_brings_each_image_to_mean_0_and_deviation_1_and_flat_ones_to_0() -> None:
    pixels = Pixels(scale_of("per image"), LIGHT).array(IMAGES)
    np.testing.assert_allclose(pixels[:3].mean(axis=(1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(pixels[:3].std(axis=(1, 2)), 1, atol=1e-5)
    np.testing.assert_allclose(pixels[3:], 0, atol=1e-4)


@pytest.mark.parametrize("text", ["bright", "1", "1,2,3", "nan,1", "0,0", "0,-1", "0,inf", ""])
def test_a_text_that_is_no_scale_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        scale_of(text)
