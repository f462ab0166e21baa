"""Every input that ``score`` reads gives the rows that ``Classifier.predict`` answers."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from service.classifier import Classifier
from service.decode.pictures import Pictures
from service.types import Limits
from tests.service.decode.samples import digits, idx, npy, npz, picture
from tests.service.imaging.champion import MODELS
from tests.service.score.running import places, rows, score

COUNT = 5000
FEW = 40


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(MODELS)


def table(images: Any, kind: pa.DataType, **options: Any) -> bytes:
    buffer = BytesIO()
    parquet.write_table(pa.table({"image": pa.array(images, kind)}), buffer, **options)
    return buffer.getvalue()


def raw() -> list[bytes]:
    return [image.tobytes() for image in digits()[:COUNT]]


ARRAYS: dict[str, Callable[[], bytes]] = {
    "a.idx3-ubyte": lambda: idx(digits()[:COUNT]),
    "a.gz": lambda: gzip.compress(idx(digits()[:COUNT]), 1),
    "a.npy": lambda: npy(digits()[:COUNT]),
    "floats.npy": lambda: npy(digits()[:COUNT].reshape(-1, 784).astype(">f4")),
    "a.npz": lambda: npz(labels=np.zeros(COUNT, np.int64), x_test=digits()[:COUNT]),
    "raw.parquet": lambda: table(raw(), pa.binary(), row_group_size=1700),
    "lists.parquet": lambda: table(
        list(digits()[:COUNT].reshape(-1, 784)), pa.list_(pa.uint8()), row_group_size=3000
    ),
    "nested.parquet": lambda: table(digits()[:COUNT].tolist(), pa.list_(pa.list_(pa.int32()))),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_gives_a_row_for_each_image_with_the_answer_of_predict(
    name: str, classifier: Classifier, tmp_path: Path
) -> None:
    file, out = tmp_path / name, tmp_path / "out.parquet"
    file.write_bytes(ARRAYS[name]())
    status, told, err = score(file, "--out", out, "--models", MODELS)
    assert (status, err) == (0, "")
    assert told.startswith(f"{COUNT:,} images by version {classifier.version} in {out}")
    source = f"{file}:x_test.npy" if name.endswith("npz") else str(file)
    found = rows(out)
    assert [(row["source"], row["index"]) for row in found] == [(source, i) for i in range(COUNT)]
    expected = classifier.predict(digits()[:COUNT])
    same = ("digit", "confidence", "doubts", "version", "error")
    for row, answer in zip(found, expected, strict=True):
        confidence = float(np.float32(answer.confidence))
        wanted = (answer.digit, confidence, list(answer.doubts), classifier.version, None)
        assert tuple(row[key] for key in same) == wanted


def test_every_form_of_the_result_has_the_same_rows(tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    file.write_bytes(npy(np.concatenate([digits()[:300], np.zeros((2, 28, 28), np.uint8)])))
    found = {}
    for form in ("csv", "jsonl", "parquet"):
        out = tmp_path / f"out.{form}"
        assert score(file, "--out", out, "--models", MODELS)[0] == 0
        found[form] = [
            row | {"confidence": float(np.float32(row["confidence"]))} for row in rows(out)
        ]
    assert found["csv"] == found["jsonl"] == found["parquet"]
    assert found["csv"][-1]["doubts"] == ["blank"]


def test_pictures_in_folders_tars_tables_and_lists_are_as_in_predict(
    classifier: Classifier, tmp_path: Path
) -> None:
    bodies = [picture(kind, index=i) for i in range(FEW) for kind in ("PNG", "JPEG")]
    folder = tmp_path / "pictures"
    folder.mkdir()
    paths = [folder / f"{i:03}.{'jpg' if i % 2 else 'png'}" for i in range(len(bodies))]
    for path, body in zip(paths, bodies, strict=True):
        path.write_bytes(body)
    (folder / "notes.txt").write_text("no picture")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(folder, "in")
    structs = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows_of = [{"bytes": body, "path": None} for body in bodies]
    (tmp_path / "a.parquet").write_bytes(table(rows_of, structs))
    out = tmp_path / "out.jsonl"
    inputs: list[str | Path] = [folder, tmp_path / "a.tar.gz", tmp_path / "a.parquet", "-"]
    told = "".join(f"{path}\n" for path in paths[:3])
    status, _, err = score(*inputs, "--out", out, "--models", MODELS, stdin=told)
    assert (status, err) == (0, "")
    expected = [classifier.predict(body)[0] for body in bodies]
    found = rows(out)
    answers = [(row["digit"], tuple(row["doubts"])) for row in found]
    wanted = [(answer.digit, answer.doubts) for answer in expected]
    tar = sorted(range(len(bodies)), key=lambda i: paths[i].name)
    names = [(str(path), 0) for path in paths]
    in_tar = places(out)[len(paths) : 2 * len(paths)]
    assert {name for name, _ in in_tar} == {f"{tmp_path}/a.tar.gz:in/{path.name}" for path in paths}
    assert places(out)[: len(paths)] == names
    assert places(out)[-3:] == names[:3]
    order = {f"{tmp_path}/a.tar.gz:in/{paths[i].name}": wanted[i] for i in tar}
    assert answers[: len(paths)] == wanted
    assert answers[len(paths) : 2 * len(paths)] == [order[name] for name, _ in in_tar]
    assert answers[2 * len(paths) :] == [*wanted, *wanted[:3]]
    doubts = Pictures([bodies[1]]).preprocess(Limits())[0].doubts
    assert set(doubts) <= set(found[1]["doubts"])


BAD_FLOATS = np.repeat(digits()[:1].astype(np.float32), 6, axis=0)
BAD_FLOATS[1, 0, 0], BAD_FLOATS[3, 5, 5] = np.nan, 256
BAD_FLOATS[4] /= 255
DAMAGED: dict[str, tuple[bytes, list[str | None]]] = {
    "floats.npy": (
        npy(BAD_FLOATS),
        [None, "holds NaN", None, "holds 256, above 255", "its largest value is 1", None],
    ),
    "cut.npy": (npy(digits()[:9])[:-1], [*[None] * 8, "the data end before the last image"]),
    "long.npy": (npy(digits()[:2]) + b"x", [None, None, "the data go on after the last image"]),
    "cut.gz": (gzip.compress(npy(digits()[:9]))[:-400], ["damaged: Compressed file ended"]),
    "objects.npy": (npy(np.array([{}], object)), ["the .npy array holds Python objects"]),
    "wide.npy": (npy(np.zeros((2, 32, 32))), ["it has the shape [2, 32, 32]"]),
    "fortran.npy": (npy(np.asfortranarray(digits()[:9])), ["it is in Fortran's order"]),
    "labels.npz": (npz(labels=np.zeros(3, np.int64)), ["the archive holds no array of images"]),
    "cut.npz": (npz(images=digits()[:9])[:-30], ["damaged: File is not a zip file"]),
    "types.idx": (idx(digits()[:2]).replace(b"\0\0\x08", b"\0\0\x0d", 1), ["the IDX file's"]),
    "text.png": (b"hello", ["not a picture"]),
    "long text.png": (b"hello" * 156 + b"1234", ["not a picture"]),
    "notes": (b"hello", ["neither IDX, .npy, .npz, Parquet, tar nor a picture in PNG, JPEG"]),
    "empty": (b"", ["the picture is empty"]),
    "other.parquet": (
        table([1], pa.int8()).replace(b"image", b"other"),
        ["the table has no column image"],
    ),
    "mixed.parquet": (
        table([raw()[0], None, b"x", picture()], pa.binary()),
        [None, "the image is null", "", None],
    ),
    "lists.parquet": (
        table([[0] * 784, [0] * 783, None, [256] * 784], pa.list_(pa.int32())),
        [None, "784 numbers, 28 rows of 28", "784 numbers", "holds 256"],
    ),
    "cut.parquet": (table(raw(), pa.binary())[:-100], ["damaged"]),
}


def test_a_bad_item_is_a_row_with_an_error_and_the_others_go_on(tmp_path: Path) -> None:
    for name, (body, _) in DAMAGED.items():
        (tmp_path / name).write_bytes(body)
    out = tmp_path / "out.jsonl"
    names = [tmp_path / name for name in DAMAGED]
    status, told, err = score(*names, "--out", out, "--models", MODELS)
    assert (status, err) == (0, "")
    found = rows(out)
    for name, (_, errors) in DAMAGED.items():
        mine = [row for row in found if row["source"] == str(tmp_path / name)]
        assert [row["index"] for row in mine] == list(range(len(errors))), name
        for row, error in zip(mine, errors, strict=True):
            assert (row["error"] is None) == (error is None), (name, row)
            assert (row["digit"] is None) == (error is not None)
            assert (row["error"] or "").startswith(error or ""), (name, row["error"])
    assert told.splitlines()[-1] == f"errors  {sum(row['error'] is not None for row in found)}"
