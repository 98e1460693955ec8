"""gRPC over grpcio without generated code: the methods by their names, messages as bytes.

grpcio is imported only when a server is made.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from explorer.errors import RequestError, RunError, quoted
from explorer.runtime.grpc_api import METHODS
from explorer.runtime.http_server import MOST_BODY_BYTES, NEEDS_EXTRA

if TYPE_CHECKING:
    import grpc

Answerer = Callable[[str, bytes], bytes]
"""Answers a request, in any thread: the method's full name, the message; raises ``RequestError`` and nothing else."""

LONGEST_MESSAGE: Final = 1024
"""Longer error texts are cut (``grpc_status_util.cc`` of TensorFlow Serving); gRPC has them in a header."""

OPTIONS: Final = (
    ("grpc.max_receive_message_length", MOST_BODY_BYTES),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
)


def grpc_message(text: str) -> str:
    """An error's text as gRPC carries it: cut where the server cuts it, and nothing in it that isn't UTF-8."""
    raw = text.encode("utf-8", "surrogateescape")
    if len(raw) > LONGEST_MESSAGE:
        raw = raw[:LONGEST_MESSAGE] + b"...TRUNCATED"
    return raw.decode("utf-8", "replace")


class GrpcServer:
    """Has its port from its creation on, and serves from :meth:`start` until :meth:`stop`.

    Args:
        answer: Answers the requests, several at once.
        host: The address to listen on.
        port: The port; 0 takes a free one.
        threads: How many requests are answered at once.

    Raises:
        RunError: The port can't be had, or grpcio isn't installed.
    """

    def __init__(self, answer: Answerer, host: str, port: int, threads: int) -> None:
        try:
            import grpc
        except ImportError:
            raise RunError(NEEDS_EXTRA.format(what="a gRPC server", library="grpcio")) from None
        services: dict[str, dict[str, grpc.RpcMethodHandler[bytes, bytes]]] = {}
        for full_name in METHODS:
            service, _, method = full_name.strip("/").partition("/")
            services.setdefault(service, {})[method] = _handler(answer, full_name)
        self._server = grpc.server(
            ThreadPoolExecutor(threads, thread_name_prefix="grpc"),
            handlers=[grpc.method_handlers_generic_handler(name, methods) for name, methods in services.items()],
            options=OPTIONS,
        )
        address = f"[{host}]" if ":" in host else host
        try:
            self.port: int = self._server.add_insecure_port(f"{address}:{port}")
        except RuntimeError:
            self.port = 0
        if not self.port:  # older versions of grpcio say so instead of raising
            raise RunError(
                f"port {port} of {quoted(host)} can't be had for gRPC; give another one, or 0 for one that is free"
            )
        self.address = f"{address}:{self.port}"

    def start(self) -> None:
        """Begins to answer."""
        self._server.start()

    def stop(self, grace_s: float) -> None:
        """Takes no more requests and ends when those that run are answered, after ``grace_s`` seconds at the latest."""
        self._server.stop(grace_s).wait(grace_s + 1)


def _handler(answer: Answerer, method: str) -> grpc.RpcMethodHandler[bytes, bytes]:
    import grpc

    def handle(request: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            return answer(method, request)
        except RequestError as error:
            context.set_code(grpc.StatusCode[error.code])
            context.set_details(grpc_message(str(error)))
            return b""  # not sent beside such a code

    return grpc.unary_unary_rpc_method_handler(handle)
