"""Runs the application on uvicorn: one process, or a supervisor with several workers."""

import os
import resource
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import uvicorn
from uvicorn.supervisors import Multiprocess

from service.app import create_app
from service.background.memory import keep_freed
from service.errors import Explained
from service.http.connection import Connection
from service.http.door import FastDoor
from service.observe.logs import LOGGER, STDERR, configure_logs, reopen
from service.observe.traces import require_opentelemetry
from service.settings import Settings, SettingsError

BACKLOG = 2048
ACCEPTS = 16
"""Connections that all workers accept in a turn of their event loops; uvloop accepts one for each
listening handle."""
WORKER_SECONDS = 30
"""How long a worker may take to start, or to answer the supervisor, before it is replaced."""
RESTART_SECONDS = 2.0  # the pause before a worker that cannot start is replaced
LOGGERS = ("mnist", "uvicorn.error", "opentelemetry")
"""The loggers whose lines ``serve`` writes in its own form."""
_Tell = Callable[[str], object]  # is called with why a worker cannot start, or "" once it has


class ServeError(Explained):
    """The service cannot run; one line says why."""


class Supervisor(Multiprocess):
    """uvicorn's supervisor, which also notices a worker's death at once."""

    def join_all(self) -> None:
        """Waits for the terminated workers, who accept while they drain: theirs close last."""
        for listener in self.sockets:
            listener.close()
        super().join_all()

    def handle_hup(self) -> None:
        """Has each worker take up keys, certificate and log anew; one that starts reads them."""
        reopen()
        for process in self.processes:
            if process.pid is not None and process.is_ready(WORKER_SECONDS):
                os.kill(process.pid, signal.SIGHUP)

    def keep_subprocess_alive(self) -> None:
        """Replaces the workers that died or hang."""
        for process in self.processes:
            # Otherwise the pipe stays open when the worker dies.
            process.child_conn.close()
        super().keep_subprocess_alive()


def run(settings: Settings) -> None:
    """Serves until a signal ends it. Raises :class:`ServeError` if it cannot start."""
    configure_logs(settings.log_format, settings.log_level, LOGGERS)
    if settings.otlp_endpoint:
        require_opentelemetry()
    if settings.grpc_port and find_spec("grpc") is None:
        raise ServeError("gRPC is not installed; run: pip install 'mnist-serve[grpc]'")
    if (settings.store or "").startswith("postgresql") and find_spec("psycopg") is None:
        raise ServeError("psycopg is not installed; run: pip install 'mnist-serve[postgres]'")
    named = [port for port in (settings.port, settings.admin_port, settings.grpc_port) if port]
    if len({*named}) < len(named):  # sockets that do not listen yet may share a port
        raise ServeError("MNIST_PORT, MNIST_ADMIN_PORT and MNIST_GRPC_PORT must differ")
    _allow_all_files()
    with ExitStack() as opened:
        opened.callback(STDERR.flush)  # before the line that says why the start failed
        ports = (settings.port, settings.admin_port) if settings.admin_port else (settings.port,)
        listeners = [opened.enter_context(_listen(settings.host, port)) for port in ports]
        (_run_one if settings.workers == 1 else _run_many)(settings, *listeners)


def _run_one(settings: Settings, listener: socket.socket, *others: socket.socket) -> None:
    faults: list[str] = []
    server = uvicorn.Server(_config(settings, None, faults.append))
    # For a signal before uvicorn handles signals, and for the one that it raises again at its end.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.handle_exit)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what it asks for is about to be done
    _announce(settings, listener)
    try:
        server.run([*others, *handles(listener, 1)])
    except SystemExit as stopped:
        raise ServeError("".join(faults)) from stopped


def _announce(settings: Settings, listener: socket.socket) -> None:
    """Logs the address, once a signal can stop the service."""
    host, port = listener.getsockname()[:2]
    scheme = "https" if settings.tls_cert else "http"
    shown = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    admin = {"admin_port": settings.admin_port} if settings.admin_port else {}
    LOGGER.info("listening", extra={"url": shown, "workers": settings.workers, **admin})


def _run_many(settings: Settings, listener: socket.socket, *others: socket.socket) -> None:
    # In memory where possible: every request writes metrics.
    in_memory = Path("/dev/shm")  # noqa: S108 - only tempfile's private folders are made there
    where = in_memory if in_memory.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="mnist-serve-", dir=where) as folder:
        shared = Path(folder)
        sockets = [*others, *handles(listener, settings.workers)]
        supervisor = Supervisor(_config(settings, shared, partial(_tell_start, shared)), sockets)
        _announce(settings, listener)
        supervisor.run()
        codes = [process.exitcode for process in supervisor.processes]
        if uvicorn.config.STARTUP_FAILURE in codes:
            raise ServeError((shared / "fault").read_text())


def _tell_start(shared: Path, fault: str) -> None:
    """Keeps why a worker cannot start, for the supervisor; one of a running service is replaced."""
    started = shared / "started"
    if not fault:
        started.touch()
    elif started.exists():
        extra = {"reason": fault, "again_in_s": RESTART_SECONDS}
        LOGGER.error("a worker cannot start; the others go on", extra=extra)
        time.sleep(RESTART_SECONDS)
        STDERR.flush()
        os._exit(1)
    (shared / "fault").write_text(fault)


class Config(uvicorn.Config):
    """uvicorn's settings, with the door's TLS, which takes up renewed certificates."""

    def load(self) -> None:
        """Builds the application, in the process that serves it."""
        super().load()
        self.ssl = self.loaded_app.tls


def _config(settings: Settings, shared: Path | None, tell_start: _Tell) -> uvicorn.Config:
    return Config(
        partial(_build, settings, shared, tell_start),
        factory=True,
        workers=settings.workers,
        http=Connection,
        loop="uvloop",
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.drain_timeout_s,
        timeout_worker_healthcheck=WORKER_SECONDS,
    )


def _build(settings: Settings, shared: Path | None, tell_start: _Tell) -> FastDoor:
    configure_logs(settings.log_format, settings.log_level, LOGGERS)
    keep_freed()
    try:
        return FastDoor(create_app(settings, shared), tell_start)
    except SettingsError as error:  # such as a file of keys that is damaged
        tell_start(str(error))
        sys.exit(uvicorn.config.STARTUP_FAILURE)


def handles(listener: socket.socket, workers: int) -> list[socket.socket]:
    """Returns the listening socket, and duplicates of it, as many as each worker should have."""
    others = [listener.dup() for _ in range(ACCEPTS // workers - 1)]
    for other in others:
        other.set_inheritable(True)
    return [listener, *others]


def _allow_all_files() -> None:
    """Raises the soft limit on open files, often 1,024, to the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):  # macOS names a limit that it does not grant
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _listen(host: str, port: int) -> socket.socket:
    """Binds a socket. uvicorn listens once a worker is ready: until then callers are refused.

    A proxy goes on to another service then; in the backlog its request would wait for the start.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if listener.family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        why = error.strerror or error
        raise ServeError(f"cannot listen on {host} port {port}: {why}") from error
    listener.set_inheritable(True)
    return listener
