"""Opens the store with what people labelled, which a command names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pydantic import ValidationError

from service.errors import Fault
from service.settings import Settings, explain
from service.store.store import FILE, SQLITE, Store, file_of
from training.errors import TrainingError


@contextmanager
def opened(url: str, root: Path) -> Iterator[Store | None]:
    """The store at ``url``; None if it is the repository's own, which no service has made yet.

    Raises :class:`TrainingError` if there is none, or if the block cannot use it.
    """
    try:
        Settings(store=url)
    except ValidationError as error:
        raise TrainingError(explain(error, str)) from None
    if url == "none":
        raise TrainingError("no store is named; give its URL, or set MNIST_STORE")
    if url.startswith(SQLITE) and not (file := file_of(url)).exists():
        if file != root / FILE:
            raise TrainingError(f"there is no store at {file}; a service makes it at the first use")
        yield None
        return
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with closing(Store(url)) as store:
            yield store
    except (SQLAlchemyError, ImportError, OSError, Fault) as error:
        why = error.detail if isinstance(error, Fault) else str(error).partition("\n")[0]
        raise TrainingError(f"the store cannot be read: {why}") from error
