"""``service.Classifier``: the service's answers, bit for bit, without a server."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from service import Classifier, Prediction
from service.errors import Fault, Malformed
from service.models.repository import PACKAGED, RepositoryError
from tests.digits import images
from tests.server import Server
from tests.service.decode.samples import picture


@pytest.fixture(scope="module")
def classifier(models: Path) -> Classifier:
    return Classifier(models)


def asked(served: Server, body: bytes, media_type: str, query: str = "") -> list[Prediction]:
    answer = served.post(f"/predict{query}", body, media_type).json()
    lists = ("probabilities", "doubts")
    return [
        Prediction(**one | {name: tuple(one[name]) for name in lists})
        for one in answer["predictions"]
    ]


@pytest.mark.parametrize("count", [1, 64, 150])
def test_arrays_have_the_answers_of_the_service(
    classifier: Classifier, served: Server, count: int
) -> None:
    some = images(count)
    predictions = classifier.predict(some)
    assert predictions == asked(served, some.tobytes(), "application/octet-stream")
    assert predictions == classifier.predict(some.reshape(-1, 784).astype(np.float32))
    assert predictions[:1] == classifier.predict(some[0]) == classifier.predict(some[0].tolist())


def test_pictures_have_the_answers_of_the_service(
    classifier: Classifier, served: Server, tmp_path: Path
) -> None:
    bodies = [picture(index=0), picture("JPEG", index=1)]
    paths = [tmp_path / name for name in "ab"]
    for path, body in zip(paths, bodies, strict=True):
        path.write_bytes(body)
    expected = [one for body in bodies for one in asked(served, body, "image/*")]
    assert classifier.predict(paths) == classifier.predict(bodies) == expected
    assert classifier.predict(str(paths[1])) == expected[1:]


def test_another_version_gives_other_answers(models: Path, served: Server) -> None:
    body = images(3)
    second = Classifier(models, 2)
    assert (second.version, Classifier(models).version) == ("2", "1")
    raw = "application/octet-stream"
    assert second.predict(body) == asked(served, body.tobytes(), raw, "?version=2")
    assert second.predict(body) != asked(served, body.tobytes(), raw)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (np.full((28, 28), 0.5), "it looks scaled to 0..1"),
        (np.full((2, 28, 28), 256), "above 255"),
        (np.full((2, 28, 28), -1), "below 0"),
        (np.full((28, 28), np.nan), "holds NaN"),
        (np.zeros((28, 27)), r"has the shape \[28, 27\]"),
        ([], r"has the shape \[0\]"),
    ],
)
def test_arrays_that_the_service_rejects_are_rejected(
    classifier: Classifier, wrong: object, why: str
) -> None:
    with pytest.raises(Fault, match=why):
        classifier.predict(wrong)  # type: ignore[arg-type]


def test_files_that_are_no_pictures_are_rejected(classifier: Classifier, tmp_path: Path) -> None:
    for call in (classifier.predict, classifier.read):
        with pytest.raises(FileNotFoundError):
            call(tmp_path / "none.png")
        with pytest.raises(Malformed, match="not a picture"):
            call(b"no picture")


@pytest.mark.parametrize("version", [9, "03", 0, "x"])
def test_a_version_that_does_not_exist_is_an_error(models: Path, version: int | str) -> None:
    with pytest.raises(RepositoryError, match=f"{version}"):
        Classifier(models, version)


def test_a_number_is_read_line_by_line() -> None:
    champion = Classifier(Path(__file__).parents[2] / "models")
    page = Path(__file__).parents[1] / "pictures/page.png"
    assert [[digit.digit for digit in line] for line in champion.read(page)] == [[3, 3, 1]]


def test_the_packaged_champion_is_used_only_where_no_folder_is_named_and_none_is_there(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not PACKAGED.exists(), "an editable install has none"
    packaged = tmp_path / "champion"
    packaged.symlink_to(models)
    monkeypatch.setattr("service.models.repository.PACKAGED", packaged)
    monkeypatch.chdir(tmp_path)
    assert Classifier().version == "1"
    with pytest.raises(RepositoryError, match="models/mnist/champion is missing"):
        Classifier("models")
    (tmp_path / "models").mkdir()
    with pytest.raises(RepositoryError, match="models/mnist/champion is missing"):
        Classifier()
