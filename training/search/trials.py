"""Searches the settings of a recipe with Optuna; docs/training.md shows the TOML file.

FILE.sqlite holds the trials, FILE.trials/ their models and checkpoints, FILE.best.toml the winner.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from service.models.repository import Repository, RepositoryError
from training.config import Config, Options
from training.durable_files import replace
from training.errors import TrainingError, one_line
from training.progress import Progress
from training.search.engines import Run, side_by_side


class Knob(BaseModel, extra="forbid"):
    """A setting to search: between two numbers, or among choices."""

    low: int | float = 0
    high: int | float = 0
    log: bool = False
    choices: list[Any] = Field(default_factory=list)

    def suggest(self, trial: Any, name: str) -> Any:
        """Returns Optuna's choice for a trial."""
        if self.choices:  # as text: Optuna stores no lists
            return json.loads(trial.suggest_categorical(name, list(map(json.dumps, self.choices))))
        whole = isinstance(self.low, int) and isinstance(self.high, int)
        between = trial.suggest_int if whole else trial.suggest_float
        return between(name, self.low, self.high, log=self.log)


class Search(BaseModel, extra="forbid"):
    """What a search file holds."""

    recipe: str = "quick"
    trials: int = Field(default=20, ge=1)
    knobs: dict[str, Knob] = Field(min_length=1)


def search(file: Path, options: Options, words: Sequence[str], progress: Progress) -> None:
    """Runs the trials that are left and writes the winner. Raises :class:`TrainingError`."""
    wanted = _read(file)
    try:
        import optuna
    except ModuleNotFoundError:
        raise TrainingError("Optuna is not installed: pip install 'mnist-serve[search]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = file.with_suffix(".sqlite")
    study = optuna.create_study(
        storage=f"sqlite:///{storage}",
        study_name=file.stem,
        sampler=optuna.samplers.TPESampler(seed=0),
        load_if_exists=True,
    )
    states = optuna.trial.TrialState

    def attempt(_: int, run: Run) -> None:
        trial = study.ask()
        try:
            settings = {name: knob.suggest(trial, name) for name, knob in wanted.knobs.items()}
        except ValueError as error:  # the file has changed
            raise TrainingError(f"{one_line(error)}; remove {storage} to start again") from error
        name = f"trial {trial.number}"
        try:
            config = Config.from_recipe(wanted.recipe, **settings)
            values = config.model_dump(mode="json", exclude_defaults=True).items()
            recipe = "".join(f"{key} = {json.dumps(value)}\n" for key, value in values)  # TOML
            folder = file.with_suffix(".trials") / hashlib.sha256(recipe.encode()).hexdigest()[:16]
            say = partial(progress.stage, name)
            loss = _run_once(folder, recipe, lambda more: run([*words, *more], say))
        except TrainingError as error:  # such as a fit that diverged
            study.tell(trial, state=states.FAIL)
            progress.stage(name, str(error))
            return
        trial.set_user_attr("recipe", recipe)
        study.tell(trial, loss)
        progress.stage(name, f"validation loss {loss:.4f} with {json.dumps(settings)}")

    for killed in study.get_trials(states=(states.RUNNING,)):
        study.tell(killed.number, state=states.PRUNED)
        study.enqueue_trial(killed.params)  # it continues from its checkpoint
    done = len(study.get_trials(states=(states.COMPLETE, states.FAIL)))
    side_by_side(attempt, range(done, wanted.trials), options)
    if not study.get_trials(states=(states.COMPLETE,)):
        raise TrainingError("no trial succeeded; the lines above say why")
    best, winner = study.best_trial, file.with_suffix(".best.toml")
    replace(winner, f"# Trial {best.number} of {file.name}.\n{best.user_attrs['recipe']}".encode())
    progress.stage("search", f"validation loss {best.value:.4f} in trial {best.number}")
    progress.stage("next", f"train --recipe {winner}")


def _run_once(folder: Path, recipe: str, run: Callable[[Sequence[object]], None]) -> float:
    """Returns the validation loss of a recipe; trains it in ``folder`` unless that was done."""
    if (loss := _loss(folder)) is None:
        folder.mkdir(parents=True, exist_ok=True)
        replace(folder / "recipe.toml", recipe.encode())
        run(["--recipe", folder / "recipe.toml", "--models", folder, "--resume"])
        loss = _loss(folder)
    if loss is None:
        raise TrainingError("it has no validation loss: set a validation_fraction above 0")
    return loss


def _loss(folder: Path) -> float | None:
    try:
        return float(Repository(folder).card(1)["validation"]["loss"])
    except (RepositoryError, TypeError):
        return None


def _read(file: Path) -> Search:
    try:
        found = Search.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
        for name, knob in found.knobs.items():
            Config.from_recipe(found.recipe, **{name: (knob.choices or [knob.low])[0]})
    except OSError as error:
        raise TrainingError(f"{file}: {error.strerror}") from error
    except ValueError as error:  # also what TOML and pydantic raise
        raise TrainingError(f"{file}: {one_line(error)}") from error
    return found
