"""One training run: data, fit, evaluate, export, verify, measure, publish, promote.

The run publishes the version in one rename. A run that fails before that leaves the model
repository unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.answer.scores import Scores
from service.models.repository import Repository
from training.config import Config, Options
from training.data.loading import Dataset, Split, load, split
from training.export.verify import LessAccurate, Verification, verify, verify_int8
from training.interrupt import finish_first
from training.measure import card
from training.measure.measure import measure
from training.network import interrupted_runs
from training.network.checkpoint import Checkpoint, State
from training.network.history import Epoch, History
from training.network.load_tensorflow import load_tensorflow
from training.registry.promote import NOT_WANTED, Decision, promote_past_gate, release
from training.registry.publish import published, staging
from training.report import Output, Report

if TYPE_CHECKING:
    import keras


def train(options: Options, output: Output) -> None:
    """Runs every step and reports each to ``output``.

    Raises:
        TrainingError, RepositoryError: one line that says why the run ended.
        Stopped: a signal arrived.
    """
    report, config = Report(output), options.config
    dataset = load(options.data)
    parts = split(dataset, config.validation_fraction, config.seed)
    report.data(dataset, parts)

    checkpoint = Checkpoint(options.checkpoints, config, dataset.hashes, report.resume)
    with checkpoint, staging(options.models) as folder:
        state = _interrupted(options, checkpoint, report)
        if state and _was_published(state.history.run, options, checkpoint, report):
            return
        network, history = _fit(options, parts, checkpoint, state, report)
        story = _write_version(
            folder, options, dataset, parts, network=network, history=history, report=report
        )
        _release(folder, options, story, checkpoint, report)


def _write_version(
    folder: Path,
    options: Options,
    dataset: Dataset,
    parts: Split,
    *,
    network: keras.Model,
    history: History,
    report: Report,
) -> dict[str, Any]:
    """Writes the model file and the plots of the fitted ``network``; returns the card."""
    from training.export import convert
    from training.measure import plots
    from training.network import architectures, calibrate, evaluate

    config = options.config
    held_out = parts.validation_images, parts.validation_labels
    temperature = calibrate.calibrate(network, *held_out)
    classifier = architectures.with_probabilities(network)
    validation = evaluate.evaluate(classifier, *held_out)
    report.evaluate(evaluate.evaluate(classifier, dataset.test_images, dataset.test_labels))

    path = folder / "model.onnx"
    verification = write_model(path, classifier, config, dataset, parts, report=report)
    known = config.non_digits > 0
    measured = measure(path, dataset, held_out[0], non_digits=known, on_step=report.measuring)
    report.measure(measured)

    recipe = Path(options.recipe).name
    story = card.describe(
        architecture=config.architecture,
        parameters=network.count_params(),
        opset=convert.OPSET,
        ir_version=convert.IR_VERSION,
        data=_data(dataset, parts),
        settings=config.model_dump(mode="json"),
        training={"recipe": recipe, **history.as_dict(), "temperature": temperature},
        validation=_validation(validation),
        verification=verification.as_dict(),
        **measured.as_parts(),
    )
    convert.stamp(path, card.story(story))
    plots.draw(story, dataset.test_images, folder)
    return story


def write_model(
    path: Path,
    classifier: keras.Model,
    config: Config,
    dataset: Dataset,
    parts: Split,
    *,
    report: Report,
) -> Verification:
    """Writes the ONNX file to publish, and verifies it: in float32 and, if set, in int8.

    Keeps the float32 file if the int8 file loses too many digits, so that a long run is not lost.

    Raises:
        ExportError, QuantizeError: the network cannot be written.
        VerificationFailed: the float32 file disagrees with the network.
    """
    from training.export import convert, quantize
    from training.network import evaluate

    test = dataset.test_images, dataset.test_labels
    convert.export(classifier, path)
    report.export(path, convert.OPSET)
    verification = verify(path, partial(evaluate.probabilities, classifier), *test)
    report.verify(verification)
    if config.weights == "int8":
        parent = path.read_bytes()
        quantize.quantize(parent, path, parts.train_images, config.seed)
        report.quantize(path)
        try:
            verification = verify_int8(path, parent, verification, *test)
            report.verify_int8(verification)
        except LessAccurate as loss:
            path.write_bytes(parent)
            report.keep_float32(loss)
    return verification


def _fit(
    options: Options, parts: Split, checkpoint: Checkpoint, state: State | None, report: Report
) -> tuple[keras.Model, History]:
    """Builds the network and fits it from the start or from ``state``; returns it in float32."""
    report.loading()
    load_tensorflow()
    from training.network import architectures, fit

    config = options.config
    fit.prepare(config)
    network = architectures.build(config)
    report.model(config, network.count_params(), state.history.seconds if state else 0.0)
    on_epoch = _on_epoch(options, checkpoint, state, report)
    history = fit.fit(
        network, config, parts, report.batch, on_epoch, checkpoint=checkpoint, state=state
    )
    report.fit(history)
    return architectures.as_float32(network, config), history


def _interrupted(options: Options, checkpoint: Checkpoint, report: Report) -> State | None:
    """Returns the state to resume from; None if the run starts from the beginning."""
    if others := interrupted_runs.kept(options.checkpoints):
        report.resume(interrupted_runs.summary(others))
    if not options.resume:
        if checkpoint.exists():
            report.resume("a run like this was interrupted; --resume would continue it")
        return None
    state = checkpoint.load()
    if state:
        report.resume(f"continues after epoch {len(state.history.epochs)}")
    else:
        report.resume("no such run was interrupted; starting from the beginning")
    return state


def _on_epoch(
    options: Options, checkpoint: Checkpoint, state: State | None, report: Report
) -> Callable[[Epoch, int], None]:
    """Returns what the fit calls after each epoch: the report and, if set, TensorBoard's files."""
    if not options.tensorboard:
        return report.epoch
    from training.network.tensorboard import Logs

    name = f"{Path(options.recipe).stem}-{checkpoint.folder.name[:8]}"
    logs = Logs(options.tensorboard / name, state.history.epochs if state else ())

    def on_epoch(epoch: Epoch, epochs: int) -> None:
        logs.epoch(epoch)
        report.epoch(epoch, epochs)

    return on_epoch


def _data(dataset: Dataset, parts: Split) -> dict[str, Any]:
    """Returns the card's ``data``."""
    return {
        "files": dataset.hashes,
        "training_images": len(parts.train_images),
        "validation_images": len(parts.validation_images),
        "test_images": len(dataset.test_images),
    }


def _validation(scores: Scores) -> dict[str, Any] | None:
    """Returns the card's ``validation``; None if no images were held out."""
    if not scores.count:
        return None
    return {"count": scores.count, "accuracy": scores.accuracy, "loss": scores.loss}


def _release(
    folder: Path,
    options: Options,
    story: Mapping[str, Any],
    checkpoint: Checkpoint,
    report: Report,
) -> None:
    """Publishes the staged version, promotes it if the gate allows, removes the checkpoint."""
    finish_first()
    version, decision = release(
        folder,
        options.models,
        story,
        tolerance=options.tolerance,
        force=options.force,
        wanted=options.promote,
    )
    checkpoint.remove()
    report.publish(version, options.models)
    report.promote(version, decision, options)


def _was_published(run: str, options: Options, checkpoint: Checkpoint, report: Report) -> bool:
    """Returns whether the interrupted run had already published; if so, does what was left."""
    version = published(Repository(options.models), run)
    if version is None:
        return False
    finish_first()
    report.resume(f"the run had published version {version} before it was interrupted")
    decision = Decision(False, NOT_WANTED)
    if options.promote:
        decision = promote_past_gate(
            options.models,
            version,
            tolerance=options.tolerance,
            force=options.force,
            command="train",
        )
    checkpoint.remove()
    report.promote(version, decision, options)
    return True
