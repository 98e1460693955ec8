"""A server for the classroom: TensorFlow Serving's REST and gRPC on this machine, for one base path.

It runs in threads of its own, beside whatever loop the caller runs. Production belongs to TensorFlow Serving itself:
here requests wait for their turn in the one child process of a version, and nobody is asked who he is.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import urllib.parse
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from explorer.errors import RequestError, RunError, printable_name, quoted
from explorer.runtime import grpc_api, rest_api
from explorer.runtime.engine import Limits
from explorer.runtime.events import Event, Observer, tell
from explorer.runtime.http_server import Answer, HttpServer
from explorer.runtime.model_version import ModelVersion
from explorer.runtime.versions import POLL_S, Versions
from explorer.savedmodel.folder import find_model, list_versions
from explorer.serving.answers import error_answer
from explorer.serving.urls import JSON_TYPE

if TYPE_CHECKING:
    from explorer.runtime.grpc_server import GrpcServer

REST_PORT, GRPC_PORT = 8501, 8500
"""The ports on which TensorFlow Serving's own image listens."""

THREADS: Final = 32
"""So many requests are read and answered at once; the model itself runs them one after the other."""

_GRACE_S = 5.0
_LONGEST_TARGET = 200


class Server:
    """A running server; :func:`serve` makes one. It runs until :meth:`stop`, the end of a ``with`` block or of Python.

    Attributes:
        name: Under which name the model is asked for.
        base_path: The folder whose versions are served.
        url: The model's URL, such as ``http://127.0.0.1:8501/v1/models/half_plus_two``.
        port: The port of the REST API.
        grpc_address: Host and port of the gRPC API; None where there is none.
    """

    def __init__(self, versions: Versions, host: str, port: int, grpc_port: int | None, observer: Observer | None):
        self._versions = versions
        self._observer = observer
        self._stopping = threading.Lock()
        self._stopped = False
        self._grpc: GrpcServer | None = None
        self.name = versions.name
        self.base_path = versions.base_path
        self._http = HttpServer(self._answer_http, host, port, THREADS)
        try:
            if grpc_port is not None:
                from explorer.runtime.grpc_server import GrpcServer

                self._grpc = GrpcServer(self._answer_grpc, host, grpc_port, THREADS)
        except BaseException:
            self._http.stop(0)
            raise
        self.port = self._http.port
        address = f"[{host}]" if ":" in host else host
        self.url = (
            f"http://{address}:{self.port}/v1/models/{urllib.parse.quote(self.name, safe='', errors='surrogateescape')}"
        )
        self.grpc_address = None if self._grpc is None else self._grpc.address
        atexit.register(self.stop)

    def _open(self) -> None:
        """Begins to answer."""
        self._http.start()
        if self._grpc is not None:
            self._grpc.start()

    @property
    def versions(self) -> tuple[int, ...]:
        """The numbers of the versions that are served, the largest first."""
        return self._versions.served

    @property
    def labels(self) -> Mapping[str, int]:
        """Label → version number."""
        return self._versions.labels

    @property
    def is_running(self) -> bool:
        """Whether it wasn't stopped yet."""
        return not self._stopped

    def set_label(self, label: str, version: int) -> None:
        """Lets a label mean a version, which must be served.

        Raises:
            RequestError: It isn't, with the server's sentence.
        """
        self._versions.set_label(label, version)

    def stop(self) -> None:
        """Answers the requests that run, then ends everything, child processes too; may be called twice."""
        with self._stopping:
            if self._stopped:
                return
            self._stopped = True
            atexit.unregister(self.stop)
            if self._grpc is not None:
                self._grpc.stop(_GRACE_S)
            self._http.stop(_GRACE_S)
            self._versions.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        if self._stopped:
            return f"Server({self.name!r}, stopped)"
        numbers = ", ".join(map(str, self.versions)) or "none"
        grpc = "" if self.grpc_address is None else f", gRPC at {self.grpc_address}"
        return f"Server({self.name!r}, {self.url}{grpc}, versions served: {numbers})"

    def _answer_http(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        started_s = time.perf_counter()
        try:
            with self._versions.held() as library:
                found = rest_api.answer(library, method, target, body, headers)
            answer = Answer(found.status, found.body, found.content_type)
        except Exception as error:  # of the server itself: a client is told, and the thread stays
            refusal = RequestError(f"{rest_api.OWN_PREFIX}{error}", "INTERNAL")
            answer = Answer(500, error_answer(refusal), JSON_TYPE)
        self._tell(f"{method} {target}", str(answer.status), started_s)
        return answer

    def _answer_grpc(self, method: str, request: bytes) -> bytes:
        started_s = time.perf_counter()
        code = "OK"
        try:
            with self._versions.held() as library:
                return grpc_api.answer(library, method, request)
        except RequestError as error:
            code = error.code or "INTERNAL"
            raise error if error.code else RequestError(str(error), code) from None
        except RunError as error:
            code = "UNAVAILABLE"
            raise RequestError(f"{rest_api.OWN_PREFIX}{error}", code) from None
        except Exception as error:  # as above
            code = "INTERNAL"
            raise RequestError(f"{rest_api.OWN_PREFIX}{error}", code) from None
        finally:
            self._tell(method, code, started_s)

    def _tell(self, request: str, outcome: str, started_s: float) -> None:
        took_ms = (time.perf_counter() - started_s) * 1000
        text = f"{printable_name(request, _LONGEST_TARGET)} {outcome} {took_ms:.1f} ms"
        tell(self._observer, Event("request", text))


def serve(
    base_path: str | os.PathLike[str],
    *,
    consent: bool = False,
    name: str | None = None,
    port: int = REST_PORT,
    grpc_port: int | None = None,
    host: str = "127.0.0.1",
    poll_s: float = POLL_S,
    versions: Collection[int] | None = None,
    labels: Mapping[str, int] | None = None,
    tags: Iterable[str] = ("serve",),
    limits: Limits | None = None,
    observer: Observer | None = None,
) -> Server:
    """Serves a base path as TensorFlow Serving does, without blocking; call ``stop()`` to end it.

    The newest version is served. When a larger number appears under the base path, it is loaded in a child process of
    its own, its warm-up requests are replayed, and requests go to it from then on; those that run on the old version
    are still answered by it. A version that can't be loaded leaves the old one serving.

    Args:
        base_path: The folder whose children are version folders; ``~`` is expanded.
        consent: True says that the model may be run: what it contains is then executed, in a child process.
        name: Under which name the model is asked for; None takes the name of the folder.
        port: The port of the REST API; 0 takes a free one.
        grpc_port: The port of the gRPC API; 0 takes a free one, None serves no gRPC.
        host: The address to listen on. With another than this machine's own, anybody who reaches it may run the model.
        poll_s: How often the base path is looked at, in seconds.
        versions: These versions side by side, instead of the newest.
        labels: Label → version number.
        tags: The tag set of the meta graph that is served.
        limits: What a child process may use; None takes those of :class:`~explorer.runtime.engine.Limits`.
        observer: Is told of every :class:`~explorer.runtime.events.Event`, by the thread in which it happens.

    Returns:
        The server, ready for requests.

    Raises:
        RunError: There is no consent, a port can't be had, the version can't be loaded, a library or TensorFlow isn't
            installed.
        SourceError: There is no base path; the sentence says what there is.
    """
    if not consent:
        raise RunError(
            "serving runs the code in a model, in a child process with limits; pass consent=True to allow that"
        )
    folder = _base_path(base_path)
    chosen_name = folder.name if name is None else name
    if not chosen_name:
        raise RunError(f"{quoted(str(folder))} has no name that a model could be asked for under; pass name=")
    if not poll_s > 0:
        raise RunError(f"the time between two looks at the base path must be more than 0 seconds, not {poll_s}")
    tag_set = (tags,) if isinstance(tags, str) else tuple(tags)
    used = Limits() if limits is None else limits
    served = Versions(
        folder,
        chosen_name,
        lambda version_folder: ModelVersion(version_folder, tag_set, used),
        numbers=versions,
        observer=observer,
    )
    server: Server | None = None
    try:
        server = Server(served, host, port, grpc_port, observer)  # first: a port that is taken is known at once
        served.poll()
        _check_served(served, versions)
        for label, number in (labels or {}).items():
            served.set_label(label, number)
        server._open()
        served.watch(poll_s)
    except BaseException:
        served.close()
        if server is not None:
            server.stop()
        raise
    return server


def _base_path(path: str | os.PathLike[str]) -> Path:
    """The absolute base path, with at least one version folder in it."""
    folder = Path(os.path.abspath(os.path.expanduser(path)))
    if folder.is_dir() and list_versions(folder):
        return folder
    found = find_model(path)  # says what else there is
    raise RunError(
        f"{quoted(str(path))} is itself a SavedModel; serve the folder that holds it, {quoted(str(found.path.parent))}"
        + ("" if found.version is not None else ", once its name is a whole number")
    )


def _check_served(served: Versions, wanted: Collection[int] | None) -> None:
    """That at the start everything could be loaded: TensorFlow Serving doesn't start otherwise either."""
    folders = {version.number for version in list_versions(served.base_path)}
    for number in sorted(wanted if wanted is not None else {max(folders)} if folders else ()):
        if number in served.served:
            continue
        state = served.state(number)
        if state is None:
            known = ", ".join(map(str, sorted(folders))) or "none"
            raise RunError(f"{quoted(str(served.base_path))} has no version {number}; available: {known}")
        raise RunError(
            f"version {number} of {quoted(str(served.base_path))} can't be served: "
            f"{printable_name(' '.join(state.error_message.split(chr(10))), 600)}"
        )
    if not served.served:
        raise RunError(f"{quoted(str(served.base_path))} has no version that could be served")
