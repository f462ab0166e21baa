"""The store: a database of its own, which may be away without harm to any answer.

SQLAlchemy is imported at the first use: a service that keeps nothing does without its memory.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path
from queue import Full, Queue
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from service.background.threads import DaemonThreads
from service.errors import Unavailable
from service.observe.logs import LOGGER
from service.observe.metrics import Metrics

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from service.settings import Settings

T = TypeVar("T")
SQLITE = "sqlite:///"
FILE = "learning.sqlite"  # the store's name beside the repository
_MOST_WAITING, _MOST_AT_ONCE = 256, 4
_RUN_S, _CLOSE_S = 5.0, 2.0
"""How long a caller waits before the store counts as away, and a stop for what waits."""
_REST_S = 1.0  # how long nobody tries a store that was away
_LOCKED_MS = 2000
_PRAGMAS = (
    *(f"busy_timeout={_LOCKED_MS}", "auto_vacuum=INCREMENTAL", "journal_mode=WAL"),
    *("synchronous=FULL", "secure_delete=ON", "foreign_keys=ON"),
)


class Store:
    """One database, by its URL, shared with other threads, workers and commands.

    Pieces of work take a connection in a transaction, and may run twice, if the first try fails.
    """

    def __init__(self, url: str, metrics: Metrics | None = None) -> None:
        self.url, self._metrics = url, metrics or Metrics()
        self._engine: Engine | None = None
        self._lock = threading.Lock()
        self._work = Queue["Callable[[Connection], object] | None"](_MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._askers = DaemonThreads("store", _MOST_AT_ONCE)
        self._is_away, self._rests_until = False, 0.0

    def begin(self) -> AbstractContextManager[Connection]:
        """A connection in a transaction, which is on disk once the block has ended.

        Raises :class:`sqlalchemy.exc.SQLAlchemyError`, OSError, ImportError or Unavailable.
        """
        with self._lock:
            self._engine = self._engine or _open(self.url)
        return self._engine.begin()

    def later(self, work: Callable[[Connection], object]) -> None:
        """Has the store's thread do the work soon; drops and counts it if too much waits."""
        try:
            self._work.put_nowait(work)
        except Full:
            self._metrics.count("store_dropped")
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._do_all, name="store", daemon=True)
                self._thread.start()

    async def run(self, work: Callable[[Connection], T]) -> T:
        """What the work returns, once it is on disk; raises what it raises.

        Raises :class:`Unavailable` if the store is away. The work may still be done then.
        """
        try:
            return await asyncio.wait_for(self._askers.run(self._try, work), _RUN_S)
        except TimeoutError:
            raise Unavailable("the store does not answer; try again later") from None

    def close(self) -> None:
        """Does what waits, for two seconds at most, and lets go of the database."""
        if self._thread is not None:
            with suppress(Full):
                self._work.put(None, timeout=_CLOSE_S)
            self._thread.join(_CLOSE_S)
        if self._engine is not None:
            self._engine.dispose()

    def _do_all(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                self._try(work)
            except Exception as error:  # noqa: BLE001 - one piece of work must not end the thread
                if not isinstance(error, Unavailable):
                    LOGGER.exception("work for the store failed")
                self._metrics.count("store_dropped")

    def _try(self, work: Callable[[Connection], T]) -> T:
        from sqlalchemy.exc import SQLAlchemyError

        if monotonic() < self._rests_until:
            raise Unavailable("the store is away; try again later")
        try:
            try:
                done = self._do(work)
            except SQLAlchemyError:  # such as a connection that was cut meanwhile
                done = self._do(work)
        except (SQLAlchemyError, OSError, ImportError, Unavailable) as error:
            self._rests_until = monotonic() + _REST_S
            self._tell(str(getattr(error, "orig", error)).partition("\n")[0] or repr(error))
            raise Unavailable("the store is away; try again later") from None
        self._tell(None)
        return done

    def _do(self, work: Callable[[Connection], T]) -> T:
        from service.store.tables import DELETED

        with self.begin() as connection:
            done = work(connection)
            deleted = connection.info.pop(DELETED, False)
        if deleted and self._engine and self.url.startswith(SQLITE):
            with closing(self._engine.raw_connection()) as raw:  # PostgreSQL has its autovacuum
                for pragma in ("incremental_vacuum", "wal_checkpoint(TRUNCATE)"):
                    raw.cursor().execute(f"PRAGMA {pragma}").fetchall()
        return done

    def _tell(self, fault: str | None) -> None:
        before, self._is_away = self._is_away, fault is not None
        if before < self._is_away:
            LOGGER.error("the store is away; answers go on", extra={"reason": fault})
        elif before > self._is_away:
            LOGGER.info("the store is back")
        self._metrics.set("store_fault", float(self._is_away))


def _open(url: str) -> Engine:
    from sqlalchemy import create_engine, event

    from service.store.tables import upgrade

    if not url.startswith(SQLITE):
        connect = {"connect_timeout": 3, "application_name": "mnist-serve"}
        engine = create_engine(url, connect_args=connect, pool_timeout=_RUN_S)
    else:
        with suppress(FileExistsError):  # what people sent is for its owner alone
            os.close(os.open(file_of(url), os.O_CREAT | os.O_EXCL, 0o600))
        engine = create_engine(url)

        @event.listens_for(engine, "connect")
        def connected(connection: Any, _record: object) -> None:
            connection.isolation_level = None  # SQLAlchemy begins, see below
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            # With a plain BEGIN, one who reads and then writes fails if another wrote meanwhile.
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    try:
        with engine.begin() as connection:
            upgrade(connection)
    except BaseException:
        engine.dispose()
        raise
    return engine


def file_of(url: str) -> Path:
    """The file of a URL of SQLite."""
    return Path(url.removeprefix(SQLITE))


def store_of(settings: Settings, metrics: Metrics) -> Store | None:
    """The store that the settings name; None where :func:`why_none` has a reason."""
    if why := why_none(settings):
        if settings.capture != "off":
            LOGGER.warning("MNIST_CAPTURE is %s but there is no store: %s", settings.capture, why)
        return None
    return Store(settings.store or f"{SQLITE}{settings.models / FILE}", metrics)


def why_none(settings: Settings) -> str:
    """Says why the service keeps nothing; empty if it has a store."""
    if settings.store == "none":
        return "MNIST_STORE is none"
    if settings.store is None and not os.access(settings.models, os.W_OK):
        return f"{settings.models} cannot be written, and MNIST_STORE names no other place"
    return ""
