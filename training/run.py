"""One training run: data, fit, evaluate, export, verify, measure, publish, promote.

The run publishes the version in one rename. A run that fails before that leaves the model
repository unchanged.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.answer.scores import score
from service.models.repository import NAME, Repository, RepositoryError
from training.config import Options
from training.data.loading import Dataset, Split, load, split
from training.errors import TrainingError
from training.export.verify import LessAccurate, Verification, answers, verify
from training.feedback.field import NOTHING, Field, collect, seed_of, unchanged
from training.interrupt import finish_first
from training.measure import card
from training.measure.measure import measure
from training.network.checkpoint import Checkpoint, History, State
from training.network.load_tensorflow import load_tensorflow
from training.registry.gate import Decision, right
from training.registry.promote import NOT_WANTED, promote_past_gate, release
from training.registry.publish import published, staging
from training.report import Report

if TYPE_CHECKING:
    import keras


def train(options: Options, report: Report) -> None:
    """Runs and reports every step; raises TrainingError, RepositoryError or :class:`Stopped`."""
    dataset, repository = load(options.data), Repository(options.models)
    field = _field(options, repository, report)
    if options.feedback:
        champion = unchanged(repository, field, dataset.hashes, options.config)
        if champion:
            report.stage("feedback", f"nothing is new since champion {champion}, so it stays")
            return
        if not options.seed_given:
            seed = seed_of(repository, field, options.config)
            options = replace(options, config=options.config.model_copy(update={"seed": seed}))
    parts = split(dataset, options.config.validation_fraction, options.config.seed)
    parts = replace(parts, labelled=field.learnt if options.feedback else None)
    report.data(dataset, parts)

    learnt = {"feedback": field.sha256} if options.feedback else {}
    warn = partial(report.stage, "resume")
    checkpoint = Checkpoint(options.checkpoints, options.config, dataset.hashes | learnt, warn)
    run = Run(options, dataset, field, parts, checkpoint, report)
    with checkpoint, staging(options.models) as folder:
        state = run.interrupted()
        if state and (version := published(repository, asdict(state.history)["epochs"])):
            report.stage("resume", f"version {version} was published before the interruption")
            finish_first()
            decision = Decision(False, NOT_WANTED)
            if options.promote:
                decision = promote_past_gate(
                    *(options.models, version, options.data, field.held_out),
                    force=options.force,
                    command="train",
                )
        else:
            network, history = run.fit(state)
            story = run.write_version(folder, network, history)
            finish_first()
            test = (dataset.test_images, dataset.test_labels) if options.promote else None
            version, decision = release(
                *(folder, options.models, story, test, field.held_out), force=options.force
            )
        checkpoint.remove()
        report.stage("publish", f"version {version} in {options.models / NAME / str(version)}")
        report.promote(version, decision, options)


def _field(options: Options, repository: Repository, report: Report) -> Field:
    """Returns what people labelled; without --feedback only the gate uses it, if it can be read."""
    if options.store == "none":
        return Field()
    share, ask = options.config.feedback_held_out, options.feedback
    try:
        field = collect(options.store, repository, share, ask=ask)
    except (TrainingError, RepositoryError) as error:
        if options.feedback:
            raise
        report.stage("feedback", f"{error}; the gate does without it")
        return Field()
    report.feedback(field)
    if options.feedback and field.sha256 == NOTHING:
        report.stage("feedback", "no labels yet in the store")
    return field


@dataclass(frozen=True, slots=True)
class Run:
    """The steps of a run, and what they share."""

    options: Options
    dataset: Dataset
    field: Field
    parts: Split
    checkpoint: Checkpoint
    report: Report

    def interrupted(self) -> State | None:
        """Returns the state to resume from; None if the run starts from the beginning."""
        if not self.options.resume:
            return None
        told = "no such run was interrupted; starting from the beginning"
        if state := self.checkpoint.load():
            told = f"continues after epoch {len(state.history.epochs)}"
        self.report.stage("resume", told)
        return state

    def fit(self, state: State | None) -> tuple[keras.Model, History]:
        """Builds the network and fits it from the start or ``state``; returns it in float32."""
        report, config = self.report, self.options.config
        report.bar("model", 0, None, "loading TensorFlow")
        load_tensorflow()
        from training.network import architectures, fit

        fit.prepare(config)
        network = architectures.build(config)
        report.model(config, network.count_params(), state.history.seconds if state else 0.0)
        history = fit.fit(
            *(network, config, self.parts, report.batch, report.epoch),
            checkpoint=self.checkpoint,
            state=state,
        )
        report.fit(history)
        return architectures.as_float32(network, config), history

    def write_version(self, folder: Path, network: keras.Model, history: History) -> dict[str, Any]:
        """Writes the model file and the plots of the fitted ``network``; returns the card."""
        from training.export import convert
        from training.measure import plots
        from training.network import architectures, evaluate

        config, dataset, parts, report = self.options.config, self.dataset, self.parts, self.report
        held_out = parts.validation_images, parts.validation_labels
        temperature = evaluate.calibrate(network, *held_out)
        classifier = architectures.with_probabilities(network)
        ask = partial(evaluate.probabilities, classifier)
        scores = score(ask(held_out[0]), held_out[1])
        report.evaluate(score(ask(dataset.test_images), dataset.test_labels))

        path = folder / "model.onnx"
        verification = self.write_model(path, classifier)
        report.bar("measure", 0, None, "damaged digits and non-digits")
        measured = measure(path, dataset, held_out, non_digits=config.non_digits > 0)
        report.measure(measured)

        recipe = Path(self.options.recipe).name
        validation = {"count": scores.count, "accuracy": scores.accuracy, "loss": scores.loss}
        story = card.describe(
            architecture=config.architecture,
            parameters=network.count_params(),
            opset=convert.OPSET,
            ir_version=convert.IR_VERSION,
            data={
                "files": dataset.hashes,
                "training_images": len(parts.train_images),
                "validation_images": len(parts.validation_images),
                "test_images": len(dataset.test_images),
            },
            settings=config.model_dump(mode="json"),
            training={"recipe": recipe, **asdict(history), "temperature": temperature},
            validation=validation if scores.count else None,
            verification=verification.as_dict(),
            **measured,
            **({"feedback": self.learnt_from(path)} if self.options.feedback else {}),
        )
        convert.stamp(path, card.story(story))
        plots.draw(story, dataset.test_images, folder)
        return story

    def learnt_from(self, path: Path) -> dict[str, Any]:
        """Returns what the card says of the labelled images, with accuracies on those held out."""
        field, told = self.field, self.field.describe()
        if field.held_out:
            told["accuracy"] = share = float(right(path, field.held_out).mean())
            self.report.stage("feedback", f"reads {share:.4f} of the labelled images held out")
        return told

    def write_model(self, path: Path, classifier: keras.Model) -> Verification:
        """Writes and verifies the ONNX file to publish: in int8 if set, and if it is as accurate.

        Raises :class:`TrainingError` if the float32 file disagrees with the network.
        """
        from training.export import convert, quantize
        from training.network import evaluate

        config, report = self.options.config, self.report
        test = self.dataset.test_images, self.dataset.test_labels
        convert.export(classifier, path)
        report.stage("export", f"ONNX, opset {convert.OPSET}, {path.stat().st_size:,} bytes")
        report.bar("verify", 0, None, "comparing the ONNX file with the Keras network")
        verification = verify(path, partial(evaluate.probabilities, classifier), *test)
        report.verify(verification)
        if config.weights == "int8":
            parent = path.read_bytes()
            quantize.quantize(parent, path, self.parts.train_images, config.seed)
            report.stage("quantize", f"int8 convolutions, {path.stat().st_size:,} bytes")
            report.bar("verify", 0, None, "comparing the int8 file with the float32 file")
            try:
                ask = partial(answers, parent)
                verification = verify(path, ask, *test, tolerance=None, parent=verification)
                report.verify(verification)
            except LessAccurate as loss:
                path.write_bytes(parent)
                report.stage("verify", f"{loss}; the run keeps the float32 file")
        return verification
