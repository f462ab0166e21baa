"""The ``train`` command: data, model, fit, evaluate, export, verify, publish, promote.

Until the version is published, in one rename, whatever goes wrong leaves the repository as it was.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Any

from service.repository import RepositoryError
from service.scores import Scores
from training import card
from training.data import Dataset, Split, load, split
from training.errors import TrainingError
from training.flags import Command, parse
from training.promote import release
from training.publish import staging
from training.quiet import quiet_stderr
from training.report import Report
from training.stop import Stopped, finish_first, stoppable
from training.verify import verify

FAILURES = (TrainingError, RepositoryError)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; 0 on success, 1 on a failure told in one line, 2 on wrong usage.

    Stopped by Ctrl-C or SIGTERM it gives 130 or 143, as a shell does.
    """
    command = parse(arguments)
    report = Report()
    try:
        with stoppable():
            train(command, report)
    except FAILURES as error:
        report.fail(str(error))
        return 1
    except Stopped as stopped:
        report.fail(f"stopped by {stopped}; nothing was published")
        return stopped.exit_status
    except BrokenPipeError:
        # Whoever read the lines has gone; the interpreter shall not try to write the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def train(command: Command, report: Report) -> None:
    """One run, from the files to the champion. Raises one of ``FAILURES``, or ``Stopped``."""
    config = command.config
    dataset = load(command.data)
    parts = split(dataset, config.validation_fraction, config.seed)
    report.data(dataset, parts)

    with staging(command.models) as folder:
        report.loading()
        _load_tensorflow()
        from training import evaluate, export, fit, model, plots

        fit.prepare(config.seed)
        network = model.build(config)
        report.model(config, network.count_params())

        history = fit.fit(network, config, parts, report.batch, report.epoch)
        report.fit(history)

        classifier = model.with_probabilities(network)
        validation = evaluate.evaluate(classifier, parts.validation_images, parts.validation_labels)
        test = evaluate.evaluate(classifier, dataset.test_images, dataset.test_labels)
        report.evaluate(test)

        path = folder / "model.onnx"
        export.export(classifier, path)
        report.export(path, export.OPSET)

        reference = partial(evaluate.probabilities, classifier)
        proof = verify(path, reference, dataset.test_images, dataset.test_labels)
        report.verify(proof)

        story = card.describe(
            architecture=config.architecture,
            parameters=network.count_params(),
            opset=export.OPSET,
            ir_version=export.IR_VERSION,
            data=_about(dataset, parts),
            settings=config.model_dump(mode="json"),
            training={"recipe": command.recipe, **history.as_dict()},
            validation=_validation(validation),
            test=test.as_dict(),
            verification=proof.as_dict(),
        )
        export.stamp(path, card.story(story))
        plots.draw(story, dataset.test_images, folder)

        finish_first()
        version, decision = release(
            folder,
            command.models,
            story,
            tolerance=command.tolerance,
            force=command.force,
            wanted=command.promote,
        )
        report.publish(version, command.models)
        report.promote(version, decision)


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

            tf.config.list_logical_devices()  # looks for a GPU now, and complains now
    except ModuleNotFoundError as error:
        raise TrainingError(
            f"{error.name} is not installed; training needs the extra: "
            "pip install 'mnist-serve[train]'"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
