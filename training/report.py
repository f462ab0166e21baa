"""What a run says to the one who watches: one line a stage and an epoch, with its figures."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from service.answer.scores import Scores
from service.models.repository import NAME
from training.cli.progress import Progress
from training.cli.tables import worst_kinds
from training.config import Config
from training.data.loading import MNIST, Dataset, Split
from training.export.verify import Verification
from training.measure.label_errors import LABELS
from training.measure.measure import Measured
from training.network.history import Epoch, History, kept_in_words
from training.registry.promote import Decision


class Report:
    """Writes the lines of one run to ``stream``; leaves no bar behind at the end of its block."""

    def __init__(self, stream: TextIO) -> None:
        self._progress = Progress(stream)

    def __enter__(self) -> Report:
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.erase()

    def data(self, dataset: Dataset, parts: Split) -> None:
        """The images that will be learnt from, and those that will judge."""
        source = "MNIST, SHA-256 checked" if dataset.source == str(MNIST) else dataset.source
        self._progress.stage(
            "data",
            f"{len(parts.train_images):,} training, {len(parts.validation_images):,} validation "
            f"and {len(dataset.test_images):,} test images ({source})",
        )

    def loading(self) -> None:
        """TensorFlow takes seconds to load."""
        self._progress.note("model", "loading TensorFlow")

    def model(self, config: Config, parameters: int) -> None:
        """The network."""
        self._progress.stage("model", f"{config.architecture}, {parameters:,} parameters")

    def stages(self, config: Config) -> None:
        """What is learnt when, where that changes in the run."""
        if config.clean_epochs:
            self._progress.stage(
                "fit",
                f"{config.clean_epochs} epochs on clean digits, then {config.epochs} on damaged, "
                "printed and written digits and on non-digits too",
            )

    def resume(self, text: str) -> None:
        """What there is to say of going on, now or later."""
        self._progress.stage("resume", text)

    def batch(self, epoch: int, epochs: int, done: int, steps: int, loss: float) -> None:
        """A step of an epoch: moves the bar."""
        self._progress.bar("fit", done, steps, f"epoch {epoch}/{epochs}  loss {loss:.4f}")

    def epoch(self, epoch: Epoch, epochs: int) -> None:
        """An epoch's figures."""
        validation = (
            ""
            if epoch.validation_accuracy is None
            else f"  validation loss {epoch.validation_loss:.4f} "
            f"accuracy {epoch.validation_accuracy:.4f}"
        )
        self._progress.stage(
            "fit",
            f"epoch {epoch.epoch:>{len(str(epochs))}}/{epochs}  loss {epoch.loss:.4f} "
            f"accuracy {epoch.accuracy:.4f}{validation}  {epoch.seconds:.0f} s",
        )

    def fit(self, history: History) -> None:
        """What fitting took."""
        self._progress.stage(
            "fit",
            f"{len(history.epochs)} epochs in {history.seconds:.0f} s "
            f"({history.cpu_seconds:.0f} CPU s); kept {kept_in_words(history.kept)}",
        )

    def evaluate(self, test: Scores) -> None:
        """The network's scores on the test images."""
        self._progress.stage(
            "evaluate",
            f"{test.count:,} test images: loss {test.loss:.4f}, "
            f"calibration error {test.calibration_error:.4f}",
        )

    def export(self, path: Path, opset: int) -> None:
        """The file."""
        self._progress.stage("export", f"ONNX, opset {opset}, {path.stat().st_size:,} bytes")

    def verify(self, proof: Verification) -> None:
        """What the proof came to."""
        self._progress.stage(
            "verify",
            f"the same digits on {proof.images:,} images in batches of "
            f"{', '.join(map(str, proof.batch_sizes))}; probabilities within "
            f"{proof.largest_difference:.1g}",
        )

    def quantize(self, path: Path) -> None:
        """The file in 8 bits."""
        self._progress.stage("quantize", f"int8 convolutions, {path.stat().st_size:,} bytes")

    def verify_int8(self, proof: Verification) -> None:
        """What the proof of the file in 8 bits came to."""
        assert proof.parent
        right, before = (round(p.accuracy * p.test_images) for p in (proof, proof.parent))
        batch = proof.largest_batch_difference
        self._progress.stage(
            "verify",
            f"int8: {right:,} of {proof.test_images:,} test images right, float32 {before:,}; "
            f"another digit on {proof.test_images - proof.same_test_digit:,}, probabilities within "
            f"{proof.largest_difference:.1g}; a row in a batch "
            f"{f'within {batch:.1g} of' if batch else 'bit for bit'} the row alone",
        )

    def keep_float32(self, loss: Exception) -> None:
        """Why the file that was proved before is the one that will serve."""
        self._progress.stage("verify", f"{loss}; the float32 file is kept")

    def measure(self, measured: Measured) -> None:
        """The accuracy of the file that was proved, how much of it is left where, and its doubt."""
        self._progress.line(f"Test accuracy: {measured.test.accuracy:.4f}")
        if measured.accuracy_without_label_errors is not None:
            self._progress.line(
                f"without the {len(LABELS)} labels known to be wrong: "
                f"{measured.accuracy_without_label_errors:.4f}"
            )
        self._progress.stage("measure", worst_kinds(measured.robustness, measured.doubt))

    def publish(self, version: int, models: Path) -> None:
        """Where the version is."""
        self._progress.stage("publish", f"version {version} in {models / NAME / str(version)}")

    def promote(self, version: int, decision: Decision) -> None:
        """Whether it serves, and why."""
        verdict = "is champion" if decision.promoted else "is not champion"
        self._progress.stage("promote", f"version {version} {verdict}: {decision.reason}")
