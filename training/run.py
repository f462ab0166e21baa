"""One run of training: data, model, fit, evaluate, export, verify, measure, publish, promote.

Until the version is published, in one rename, whatever goes wrong leaves the repository as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.answer.scores import Scores
from service.background.threads import worker_threads
from service.models.repository import Repository
from training.cli.flags import Command
from training.data.loading import Dataset, Split, load, split
from training.errors import TrainingError
from training.export.verify import LessAccurate, Verification, verify, verify_int8
from training.interrupt import finish_first
from training.measure import card
from training.measure.measure import measure
from training.network import interrupted_runs
from training.network.checkpoint import Checkpoint, State
from training.network.history import Epoch, History
from training.network.load_tensorflow import quiet_stderr
from training.registry.promote import NOT_WANTED, Decision, promote_past_gate, release
from training.registry.publish import published, staging
from training.report import Report

if TYPE_CHECKING:
    import keras

    from training.config import Config


def train(command: Command, report: Report) -> None:
    """Runs all stages, each told to ``report``.

    Raises:
        TrainingError, RepositoryError: one line that explains why the run ended.
        Stopped: a signal came.
    """
    config = command.config
    dataset = load(command.data)
    parts = split(dataset, config.validation_fraction, config.seed)
    report.data(dataset, parts)

    checkpoint = Checkpoint(command.checkpoints, config, dataset.hashes, report.resume)
    with checkpoint, staging(command.models) as folder:
        state = _stopped(command, checkpoint, report)
        if state and _had_published(state.history.run, command, checkpoint, report):
            return
        network, history = _fit(command, parts, checkpoint, state, report)
        from training.export import convert
        from training.measure import plots
        from training.network import architectures, calibrate, evaluate

        held_out = parts.validation_images, parts.validation_labels
        temperature = calibrate.calibrate(network, *held_out)
        classifier = architectures.with_probabilities(network)
        validation = evaluate.evaluate(classifier, *held_out)
        report.evaluate(evaluate.evaluate(classifier, dataset.test_images, dataset.test_labels))

        path = folder / "model.onnx"
        proof = _write(path, classifier, config=config, dataset=dataset, parts=parts, report=report)
        measured = measure(path, dataset, parts.validation_images, non_digits=config.non_digits > 0)
        report.measure(measured)

        story = card.describe(
            architecture=config.architecture,
            parameters=network.count_params(),
            opset=convert.OPSET,
            ir_version=convert.IR_VERSION,
            data=_about(dataset, parts),
            settings=config.model_dump(mode="json"),
            training=_training(command, history, temperature),
            validation=_validation(validation),
            verification=proof.as_dict(),
            **measured.as_parts(),
        )
        convert.stamp(path, card.story(story))
        plots.draw(story, dataset.test_images, folder)

        _release(folder, command, story, checkpoint, report)


def _fit(
    command: Command, parts: Split, checkpoint: Checkpoint, state: State | None, report: Report
) -> tuple[keras.Model, History]:
    """Builds the network and fits it, or goes on with it; gives it in float32."""
    report.loading()
    _load_tensorflow()
    from training.network import architectures, fit

    config = command.config
    fit.prepare(config)
    network = architectures.build(config)
    report.model(config, network.count_params())
    report.stages(config)
    on_epoch = _watching(command, checkpoint, state, report)
    history = fit.fit(
        network, config, parts, report.batch, on_epoch, checkpoint=checkpoint, state=state
    )
    report.fit(history)
    return architectures.as_float32(network, config), history


def _stopped(command: Command, checkpoint: Checkpoint, report: Report) -> State | None:
    """Where the run that is to go on was stopped; None where it begins."""
    if others := interrupted_runs.kept(command.checkpoints):
        report.resume(interrupted_runs.summary(others))
    if not command.resume:
        if checkpoint.exists():
            report.resume("a run like this was stopped; --resume would go on with it")
        return None
    state = checkpoint.load()
    if state:
        report.resume(f"goes on after epoch {len(state.history.epochs)}")
    else:
        report.resume("no such run was stopped; from the beginning")
    return state


def _watching(
    command: Command, checkpoint: Checkpoint, state: State | None, report: Report
) -> Callable[[Epoch, int], None]:
    """Whom a fit tells of its epochs: the screen, and TensorBoard where that is asked for."""
    if not command.tensorboard:
        return report.epoch
    from training.network.tensorboard import Logs

    name = f"{Path(command.recipe).stem}-{checkpoint.folder.name[:8]}"
    logs = Logs(command.tensorboard / name, state.history.epochs if state else ())

    def tell(epoch: Epoch, epochs: int) -> None:
        logs.epoch(epoch)
        report.epoch(epoch, epochs)

    return tell


def _write(
    path: Path,
    classifier: keras.Model,
    *,
    config: Config,
    dataset: Dataset,
    parts: Split,
    report: Report,
) -> Verification:
    """Writes the file that will serve, and proves it: in float32 and, if asked for, in 8 bits.

    Where 8 bits lose more than they may, the float32 file is kept: a long run is not thrown away.
    """
    from training.export import convert, quantize
    from training.network import evaluate

    test = dataset.test_images, dataset.test_labels
    convert.export(classifier, path)
    report.export(path, convert.OPSET)
    proof = verify(path, partial(evaluate.probabilities, classifier), *test)
    report.verify(proof)
    if config.weights == "int8":
        parent = path.read_bytes()
        quantize.quantize(parent, path, parts.train_images, config.seed)
        report.quantize(path)
        try:
            proof = verify_int8(path, parent, proof, *test)
            report.verify_int8(proof)
        except LessAccurate as loss:
            path.write_bytes(parent)
            report.keep_float32(loss)
    return proof


def _release(
    folder: Path,
    command: Command,
    story: Mapping[str, Any],
    checkpoint: Checkpoint,
    report: Report,
) -> None:
    """Publishes the staged version and promotes it if it may; the run is then over."""
    finish_first()
    version, decision = release(
        folder,
        command.models,
        story,
        tolerance=command.tolerance,
        force=command.force,
        wanted=command.promote,
    )
    checkpoint.remove()
    report.publish(version, command.models)
    report.promote(version, decision)


def _had_published(run: str, command: Command, checkpoint: Checkpoint, report: Report) -> bool:
    """Whether a run was killed after it had published; then does what was left to do."""
    version = published(Repository(command.models), run)
    if version is None:
        return False
    finish_first()
    report.resume(f"it had published version {version} before it was stopped")
    decision = Decision(False, NOT_WANTED)
    if command.promote:
        decision = promote_past_gate(
            command.models,
            version,
            tolerance=command.tolerance,
            force=command.force,
            command="train",
        )
    checkpoint.remove()
    report.promote(version, decision)
    return True


def _training(command: Command, history: History, temperature: float) -> dict[str, Any]:
    """The fit as the card has it."""
    recipe = Path(command.recipe).name
    return {"recipe": recipe, **history.as_dict(), "temperature": temperature}


def _about(dataset: Dataset, parts: Split) -> dict[str, Any]:
    """The data as the card has them."""
    return {
        "files": dataset.hashes,
        "training_images": len(parts.train_images),
        "validation_images": len(parts.validation_images),
        "test_images": len(dataset.test_images),
    }


def _validation(scores: Scores) -> dict[str, Any] | None:
    """What the card says about the images held out; None where there were none."""
    if not scores.count:
        return None
    return {"count": scores.count, "accuracy": scores.accuracy, "loss": scores.loss}


def _load_tensorflow() -> None:
    """Loads what only training needs, once there is something to train on.

    Raises:
        TrainingError: it is not installed.
    """
    try:
        with quiet_stderr():
            import tensorflow as tf

            # A container's CPU quota, which TensorFlow does not see.
            threads = worker_threads(workers=1)
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
            tf.config.list_logical_devices()  # looks for a GPU now, and complains now
    except ModuleNotFoundError as error:
        raise TrainingError(
            f"{error.name} is not installed; training needs the extra: "
            "pip install 'mnist-serve[train]', or make train where the sources are"
        ) from error
