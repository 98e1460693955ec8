"""``explorer.rest``: TensorFlow Serving's REST API over one model, as an object.

Whatever needs no run answers at once: metadata, status, and every refusal that comes before the run. Running a model is
running a program; it needs the caller's consent and happens in a child process (:mod:`explorer.runtime.engine`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from explorer.errors import ExplorerError, RunError, listed, quoted
from explorer.runtime.engine import Limits
from explorer.runtime.model_version import ModelVersion
from explorer.runtime.rest_api import RestAnswer, answer
from explorer.runtime.rest_verbs import Body, RestVerbs, body_bytes
from explorer.runtime.versions import Held
from explorer.savedmodel.folder import find_model, list_versions
from explorer.savedmodel.model import MetaGraph, SavedModel
from explorer.savedmodel.opening import open_saved_model
from explorer.savedmodel.tensors import Tensor
from explorer.serving.answers import VersionState

NO_CONSENT = "this executes the model's graph, in a child process with limits; pass consent=True to allow that"

_ONLY_VERSION = 1
"""As what a model is served that stands in no version folder: under that number one would put it."""


def rest(
    path: SavedModel | str | os.PathLike[str],
    *,
    consent: bool = False,
    name: str | None = None,
    version: int | None = None,
    labels: Mapping[str, int] | None = None,
    tags: Iterable[str] = ("serve",),
    timeout_s: float = 60.0,
    load_timeout_s: float = 300.0,
    memory_bytes: int = 4 << 30,
) -> Rest:
    """Answers requests to a model as TensorFlow Serving would.

    Args:
        path: A base path, a version folder, or a model that was opened from one. Of a base path the newest version is
            asked unless a request names another.
        consent: True says that the model may be run: what it contains is then executed, in a child process. Without it
            a request that needs a run raises; all others are answered.
        name: Under which name the model is asked for; None for the name of its base path.
        version: The only version of a base path that is served; None for all of them.
        labels: Version label → version number.
        tags: The tag set of the meta graph that is served.
        timeout_s: How long a run may take, in seconds.
        load_timeout_s: How long loading a version may take, in seconds.
        memory_bytes: How much memory the model may allocate above what TensorFlow and its own files take.

    Raises:
        SourceError: There is no SavedModel at the path.
        NotFoundError: It has no such meta graph.
        RunError: The model is a draft, or a label names a version that isn't there.

    Example:
        >>> with explorer.rest("models/half_plus_two", consent=True) as server:
        ...     server.predict({"instances": [1.0, 5.0]}).json()
        {'predictions': [2.5, 4.5]}
    """
    base, folders = _folders(path, version)
    limits = Limits(load_timeout_s, timeout_s, memory_bytes)
    wanted = frozenset({tags} if isinstance(tags, str) else tags)
    versions = {number: Version(folder, number, wanted, limits, consent) for number, folder in folders.items()}
    _ = versions[max(versions)].meta_graph  # whoever asks for what isn't there learns it here
    for label, number in (labels or {}).items():
        if number not in versions:
            raise RunError(
                f"label {quoted(label)} names version {number}, which isn't there; available: "
                + listed(map(str, sorted(versions)))
            )
    return Rest(base if name is None else name, versions, labels or {}, consent=consent)


class Version:
    """A version folder that is loaded when something is to be run."""

    def __init__(self, folder: Path, number: int, tags: frozenset[str], limits: Limits, consent: bool) -> None:
        self.version = number
        self._folder = folder
        self._tags = tags
        self._limits = limits
        self._consent = consent
        self._meta_graph: MetaGraph | None = None
        self._model: ModelVersion | None = None
        self._failure = ""
        self._is_closed = False
        self._lock = threading.Lock()

    @property
    def meta_graph(self) -> MetaGraph:
        """The meta graph that is served, read without TensorFlow."""
        if self._meta_graph is None:
            self._meta_graph = open_saved_model(self._folder).meta_graph(self._tags)
        return self._meta_graph

    def run(self, feeds: Mapping[str, Tensor], fetches: Sequence[str]) -> list[Tensor]:
        """Runs it: tensor name → value, the tensors to give back.

        Raises:
            RequestError: TensorFlow refuses, with its code and sentence.
            RunError: There is no consent, or the model can't be loaded or run.
        """
        if not self._consent:
            raise RunError(NO_CONSENT)
        return self._loaded().run(feeds, fetches)

    def close(self) -> None:
        """Ends the child process, if there is one."""
        self._is_closed = True
        model = self._model
        if model is not None:
            model.close()

    def _loaded(self) -> ModelVersion:
        with self._lock:
            if self._is_closed:
                raise RunError("it is closed; call explorer.rest again to run the model")
            if self._failure:
                raise RunError(self._failure)
            return self._load() if self._model is None else self._model

    def _load(self) -> ModelVersion:
        self._model = model = ModelVersion(self._folder, self._tags, self._limits)  # so that close ends a load, too
        try:
            model.load()
        except RunError:  # a crash or a hang, which need not come again
            self._model = None
            model.close()
            raise
        except ExplorerError as error:  # no answer to a request: a server would have no such version
            self._model = None
            model.close()
            self._failure = f"version {self.version} can't be loaded, so TensorFlow Serving wouldn't serve it: {error}"
            raise RunError(self._failure) from None
        return model


class Rest(RestVerbs):
    """A model that answers requests as TensorFlow Serving does; :func:`rest` makes it.

    Close it, or use it in a ``with`` statement; its child process ends with it at the latest. Threads may share it.

    Attributes:
        name: Under which name the model is asked for.
    """

    def __init__(self, name: str, versions: Mapping[int, Version], labels: Mapping[str, int], *, consent: bool) -> None:
        self.name = name
        self._versions = versions
        self._consent = consent
        known = tuple(VersionState(number) for number in sorted(versions, reverse=True))
        self._library = Held(name, versions, labels, known)

    @property
    def versions(self) -> tuple[int, ...]:
        """The versions that are served, the newest first."""
        return tuple(sorted(self._versions, reverse=True))

    def request(
        self, method: str, target: str, body: Body = b"", headers: Mapping[str, str] | None = None
    ) -> RestAnswer:
        """Answers any request.

        Args:
            method: ``GET``, ``POST`` …
            target: The path as a client sends it, still percent-encoded: ``/v1/models/NAME:predict``.
            body: As for :meth:`predict`.
            headers: Those of the request.

        Raises:
            RequestError: JSON can't be made of the body.
            RunError: There was no consent to run the model.
        """
        return answer(self._library, method, target, body_bytes(body), headers, own_answers=self._consent)

    def close(self) -> None:
        """Ends the child processes; what needs no run is answered all the same. A second time does nothing."""
        for version in self._versions.values():
            version.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        numbers = ", ".join(map(str, self.versions))
        return f"Rest({quoted(self.name)}, versions served: {numbers}{'' if self._consent else ', may not be run'})"


def _folders(path: SavedModel | str | os.PathLike[str], version: int | None) -> tuple[str, dict[int, Path]]:
    """The name of a base path, and its version folders with a model."""
    if isinstance(path, SavedModel):
        if path.edits or path.path is None:
            raise RunError(
                "this model isn't in a folder yet, so nobody can run it: export it first, and give that path"
            )
        path = path.path
    found = find_model(path, version)
    number = _ONLY_VERSION if found.version is None else found.version
    name = (found.path if found.version is None else found.path.parent).name
    given = Path(os.path.abspath(os.path.expanduser(os.fspath(path))))
    if version is not None or given in (found.path, found.file_path):
        return name, {number: found.path}
    folders: dict[int, Path] = {}
    for candidate in list_versions(given):
        if candidate.is_model:
            folders.setdefault(candidate.number, candidate.path)
    folders[number] = found.path  # of two folders with the same number, the one that is opened elsewhere
    return name, folders
