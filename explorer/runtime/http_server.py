"""HTTP over tornado in a thread with a loop of its own; what is answered, a function says.

The target is handed on as it came, not normalised, and the body as bytes, because TensorFlow Serving's own rules read
them so. tornado is imported only when a server is made.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import responses
from typing import TYPE_CHECKING, Final, NamedTuple

from explorer.errors import RunError, quoted

if TYPE_CHECKING:
    from tornado.httpserver import HTTPServer
    from tornado.httputil import HTTPServerRequest

MOST_BODY_BYTES: Final = 1 << 30
"""A larger request is refused."""

NEEDS_EXTRA: Final = "{what} takes {library}, which isn't installed; run pip install 'savedmodel-explorer[serving]'"

_START_S = 30.0
_BACKLOG = 128


class Answer(NamedTuple):
    """What goes back to a client.

    Attributes:
        status: The HTTP status.
        body: The body.
        content_type: The media type of the body; empty sends none.
    """

    status: int
    body: bytes
    content_type: str


Answerer = Callable[[str, str, bytes, Mapping[str, str]], Answer]
"""Answers a request, in any thread: method, raw target, body, headers; it raises nothing."""


class HttpServer:
    """Has its port from its creation on, and serves from :meth:`start` until :meth:`stop`.

    Args:
        answer: Answers the requests, several at once.
        host: The address to listen on.
        port: The port; 0 takes a free one.
        threads: How many requests are answered at once.

    Raises:
        RunError: The port can't be had, or tornado isn't installed.
    """

    def __init__(self, answer: Answerer, host: str, port: int, threads: int) -> None:
        try:
            import tornado.httpserver  # noqa: F401 - whether it is there
        except ImportError:
            raise RunError(NEEDS_EXTRA.format(what="a server", library="tornado")) from None
        self._answer = answer
        self._sockets = _bound(host, port)
        self.port: int = self._sockets[0].getsockname()[1]
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="rest")
        self._loop = asyncio.new_event_loop()
        self._running: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"http on port {self.port}", daemon=True)
        self._server: HTTPServer | None = None

    def start(self) -> None:
        """Begins to answer; clients that came before are waiting."""
        from tornado.httpserver import HTTPServer

        async def begin() -> HTTPServer:
            server = HTTPServer(self._received, max_body_size=MOST_BODY_BYTES, max_buffer_size=MOST_BODY_BYTES)
            server.add_sockets(self._sockets)
            return server

        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(begin(), self._loop).result(_START_S)

    def stop(self, grace_s: float) -> None:
        """Takes no more requests and ends when those that run are answered; may be called once.

        Args:
            grace_s: How long they may take, in seconds.
        """
        server = self._server
        if server is None:
            for listening in self._sockets:
                listening.close()
            self._loop.close()
            return

        async def end() -> None:
            server.stop()
            if self._running:
                await asyncio.wait(set(self._running), timeout=grace_s)
            await server.close_all_connections()

        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(end(), self._loop).result(grace_s + 1)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(grace_s + 1)
        self._pool.shutdown(wait=False, cancel_futures=True)
        if not self._thread.is_alive():
            self._loop.close()

    def _received(self, request: HTTPServerRequest) -> None:
        task = self._loop.create_task(self._respond(request))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _respond(self, request: HTTPServerRequest) -> None:
        from tornado.httputil import HTTPHeaders, ResponseStartLine

        connection = request.connection
        if connection is None:
            return
        method, target = request.method or "", request.uri or ""
        try:
            answer = await self._loop.run_in_executor(
                self._pool, self._answer, method, target, request.body, dict(request.headers)
            )
        except RuntimeError:  # the pool takes nothing any more: Python is ending
            connection.finish()
            return
        headers = HTTPHeaders({"Content-Length": str(len(answer.body))})
        if answer.content_type:
            headers["Content-Type"] = answer.content_type
        start_line = ResponseStartLine("HTTP/1.1", answer.status, responses.get(answer.status, "Unknown"))
        # A client that went away in the meantime gets nothing; tornado marks that error as seen.
        connection.write_headers(start_line, headers, None if method == "HEAD" else answer.body)
        connection.finish()


def _bound(host: str, port: int) -> list[socket.socket]:
    from tornado.netutil import bind_sockets

    try:
        return bind_sockets(port, host, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise RunError(
            f"port {port} of {quoted(host)} can't be had ({reason}); give another one, or 0 for one that is free"
        ) from None
