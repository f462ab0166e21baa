"""Says what a run does and what came out of it: a line for each step and epoch, with figures."""

from typing import TextIO

from service.answer.scores import Scores
from training.cli.tables import where
from training.config import Config, Options
from training.data.loading import MNIST, Dataset, Split
from training.export.verify import Verification
from training.feedback.field import NOTHING, Field
from training.measure.card import worst_kinds
from training.measure.measure import Parts
from training.network.checkpoint import Epoch, History
from training.progress import Progress
from training.registry.gate import Decision

MOST_LISTED = 20  # labels set aside


class Report(Progress):
    """Prints the results of a run's steps to ``stream``, as lines and as a bar."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._clock = 0.0

    def data(self, dataset: Dataset, parts: Split) -> None:
        """Counts the images of each part."""
        source = "MNIST, SHA-256 checked" if dataset.source == str(MNIST) else dataset.source
        train, validation = len(parts.train_images), len(parts.validation_images)
        counts = f"{train:,} training, {validation:,} validation and {len(dataset.test_images):,}"
        self.stage("data", f"{counts} test images ({source})")

    def feedback(self, field: Field) -> None:
        """Counts what people labelled, and lists what is set aside and who is not believed."""
        told = field.describe()
        counts = (
            "{learnt:,} labelled images to learn, {held_out:,} held out, {set_aside:,} set aside"
        )
        lines = [counts.format(**told)] if told["sha256"] != NOTHING else []
        lines += [f"nothing is learnt of {name}: contradicted too often" for name in field.refused]
        shown = field.set_aside[:MOST_LISTED]
        lines += [f"image {each.image[:12]}: {each.labeller} {each}" for each in shown]
        if len(shown) < len(field.set_aside):
            lines.append(f"and {len(field.set_aside) - len(shown):,} more")
        for line in lines:
            self.stage("feedback", line)

    def model(self, config: Config, parameters: int, seconds_before: float) -> None:
        """Describes the network; the fit took ``seconds_before`` so far."""
        self._clock = seconds_before
        self.stage("model", f"{config.architecture}, {parameters:,} parameters")

    def batch(self, epoch: int, epochs: int, done: int, steps: int, loss: float) -> None:
        """Moves the bar by one training step."""
        self.bar("fit", done, steps, f"epoch {epoch}/{epochs}  loss {loss:.4f}")

    def epoch(self, epoch: Epoch, epochs: int) -> None:
        """Prints an epoch's figures, its own duration, and the estimated time to the last epoch."""
        seconds, self._clock = epoch.seconds - self._clock, epoch.seconds
        left = (epochs - epoch.epoch) * seconds
        estimate = f", about {_duration(left)} left" if left else ""
        loss, right = epoch.validation_loss, epoch.validation_accuracy
        validation = "" if right is None else f"  validation loss {loss:.4f} accuracy {right:.4f}"
        self.stage(
            "fit",
            f"epoch {epoch.epoch:>{len(str(epochs))}}/{epochs}  loss {epoch.loss:.4f} "
            f"accuracy {epoch.accuracy:.4f}{validation}  {_duration(seconds)}{estimate}",
        )

    def fit(self, history: History) -> None:
        """Prints how long the whole fit took, and which epochs' weights the network keeps."""
        took = f"{history.seconds:.0f} s ({history.cpu_seconds:.0f} CPU s)"
        shares = [f"{each['share']:.0%} of epoch {each['epoch']:g}" for each in history.kept]
        kept = " and ".join(shares)
        self.stage("fit", f"{len(history.epochs)} epochs in {took}; kept {kept}")
        self.bar("evaluate", 0, None, "classifying the test images")

    def evaluate(self, test: Scores) -> None:
        """Prints the Keras network's scores on the test images."""
        figures = f"loss {test.loss:.4f}, calibration error {test.calibration_error:.4f}"
        self.stage("evaluate", f"{test.count:,} test images: {figures}")

    def verify(self, found: Verification) -> None:
        """Prints how well the ONNX file agrees with the Keras network, or int8 with float32."""
        sizes = ", ".join(map(str, found.batch_sizes))
        text = f"the same digits on {found.images:,} images in batches of {sizes}"
        if found.parent:
            right, before = (round(p.accuracy * p.test_images) for p in (found, found.parent))
            text = f"int8: {right:,} of {found.test_images:,} test images right, float32 {before:,}"
        self.stage("verify", f"{text}; probabilities within {found.largest_difference:.1g}")

    def measure(self, measured: Parts) -> None:
        """Prints the test accuracy of the file to publish, and its weakest figures."""
        self.line(f"Test accuracy: {measured['test']['accuracy']:.4f}")
        self.stage("measure", worst_kinds(measured["robustness"], measured["doubt"]))

    def promote(self, version: int, decision: Decision, options: Options) -> None:
        """Says whether the version is champion and why, and which commands come next."""
        verdict = "is the champion" if decision.promoted else "is not the champion"
        self.stage("promote", f"version {version} {verdict}: {decision.reason}")
        at, previous = where(options.models), decision.previous
        if decision.promoted:
            follow = f"roll back: models rollback{at}" if previous else f"start one: serve{at}"
            self.stage("next", f"a running service takes it up within 2 s; {follow}")
            return
        compare = f"compare: models diff {previous} {version}{at}; " if previous else ""
        anyway, force = ("promote anyway", " --force") if options.promote else ("promote", "")
        command = f"{anyway}: models promote {version}{force}{at}"
        self.stage("next", f"version {version} is published, not promoted; {compare}{command}")


def _duration(seconds: float) -> str:
    """Returns a time in the largest unit that fits: ``12 s``, ``3 min`` or ``2.5 h``."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"
