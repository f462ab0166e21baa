"""The gRPC server of one worker, in the worker's event loop."""

from functools import partial
from typing import Any

import grpc

from service.core import Core
from service.models.versions import StartError
from service.observe.logs import LOGGER
from service.rpc import HEALTH, INFERENCE, REFLECTION, REFUSED, questions, tensorflow_serving
from service.rpc.calls import Call, Calls, Converse, Record
from service.rpc.goaway import send_away
from service.rpc.infer import Infer
from service.settings import Settings
from service.tls import Tls

MOST_STREAMS = 1024  # calls of one connection at a time; a client waits with others
LEAST_PING_MS = 10_000  # a client that pings more often is told to go away


class Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Finds the handler of a call by its path."""

    def __init__(self, calls: Calls) -> None:
        infer = Infer(calls)
        unary: dict[str, Call] = {
            f"/{INFERENCE}/ModelInfer": infer.one,
            f"/{HEALTH}/Check": questions.check,
            **questions.METHODS,
            **tensorflow_serving.METHODS,
        }
        streams: dict[str, Converse] = {
            f"/{INFERENCE}/ModelStreamInfer": infer.stream,
            f"/{HEALTH}/Watch": partial(questions.watch, calls),
            f"/{REFLECTION}/ServerReflectionInfo": questions.reflect,
        }
        self._handlers = {path: calls.unary(path, call) for path, call in unary.items()}
        self._handlers |= {path: calls.stream(path, call) for path, call in streams.items()}
        self._handlers |= {f"/{INFERENCE}/{name}": _refusing(why) for name, why in REFUSED.items()}

    def service(self, handler_call_details: Any) -> grpc.RpcMethodHandler | None:
        """The handler, or None, from which the caller gets UNIMPLEMENTED."""
        return self._handlers.get(handler_call_details.method)


class RpcServer:
    """Answers gRPC until it is stopped."""

    def __init__(self, core: Core, record: Record, tls: Tls | None) -> None:
        self._calls, self._settings, self._tls = Calls(core, record), core.settings, tls
        self._server = grpc.aio.server(
            handlers=[Handlers(self._calls)], options=_options(core.settings)
        )

    async def start(self) -> None:
        """Listens and answers. Raises :class:`StartError` if the port is taken."""
        host, port = self._settings.host, self._settings.grpc_port
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            if self._tls is None:
                self._server.add_insecure_port(address)
            else:
                self._server.add_secure_port(address, _credentials(self._tls))
        except RuntimeError as error:
            raise StartError(f"cannot listen on {host} port {port} for gRPC") from error
        await self._server.start()
        LOGGER.info("listening for gRPC", extra={"address": address})

    async def stop(self) -> None:
        """Tells the clients to go elsewhere, and waits for what runs."""
        self._calls.closing.set()
        if self._tls is None:
            await send_away(self._settings.grpc_port)
        await self._server.stop(self._settings.drain_timeout_s)


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    """The certificate of HTTP, also once it has been renewed."""

    def configuration() -> grpc.ServerCertificateConfiguration:
        certificate, key, client_ca = tls.current.pem
        return grpc.ssl_server_certificate_configuration([(key, certificate)], client_ca)

    return grpc.dynamic_ssl_server_credentials(
        configuration(), configuration, tls.current.pem[2] is not None
    )


def _refusing(why: str) -> grpc.RpcMethodHandler:
    async def refuse(body: bytes, context: Any) -> None:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, why)

    return grpc.unary_unary_rpc_method_handler(refuse)


def _options(settings: Settings) -> list[tuple[str, int]]:
    age_ms = round(settings.grpc_connection_age_s * 1000)
    return [
        ("grpc.so_reuseport", int(settings.workers > 1)),
        ("grpc.max_receive_message_length", settings.max_body_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_concurrent_streams", MOST_STREAMS),
        ("grpc.keepalive_time_ms", settings.grpc_keep_alive_s * 1000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", LEAST_PING_MS),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", LEAST_PING_MS),
        *([("grpc.max_connection_age_ms", age_ms)] if age_ms else []),
        ("grpc.max_connection_age_grace_ms", settings.drain_timeout_s * 1000),
    ]
