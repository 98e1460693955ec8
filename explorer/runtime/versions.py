"""Which versions of a base path are served, as TensorFlow Serving chooses, loads, switches and keeps them.

The largest number is served (``file_system_storage_path_source.cc`` of https://github.com/tensorflow/serving), or a
fixed choice side by side. What is new is loaded before what it replaces is given up
(``availability_preserving_policy.cc``), so that a broken version leaves the old one serving. A version that failed is
tried again when something in its folder has changed; the server itself retries five times, a minute apart.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from explorer.errors import RequestError, RunError, SourceError, printable_name, quoted
from explorer.runtime.events import Event, EventKind, Observer, tell
from explorer.savedmodel.folder import list_files, list_versions
from explorer.savedmodel.model import MetaGraph
from explorer.savedmodel.tensors import Tensor
from explorer.serving.answers import VersionState

if TYPE_CHECKING:
    from explorer.runtime.rest_api import Served

POLL_S = 1.0
"""How often the base path is looked at, in seconds, as TensorFlow Serving does where nobody says otherwise."""

_LONGEST_REASON = 600
_JOIN_S = 10.0


class Servable(Protocol):
    """One version of a model in a child process of its own."""

    @property
    def meta_graph(self) -> MetaGraph:
        """Its meta graph; asked for after :meth:`load`."""
        ...

    def load(self) -> None:
        """Loads it and replays its warm-up requests.

        Raises:
            ExplorerError: It can't be served; a ``RequestError`` has the code and the sentence of TensorFlow Serving.
        """
        ...

    def run(self, feeds: Mapping[str, Tensor], fetches: Sequence[str]) -> list[Tensor]:
        """Runs it: tensor name → value, the tensors to give back."""
        ...

    def close(self) -> None:
        """Ends its child process; may be called by any thread, also while another one loads it, and twice."""
        ...


Stamp = tuple[tuple[str, int, int], ...]


@dataclass(eq=False, slots=True)
class _Loaded:
    """A version that serves, and how many requests hold it."""

    number: int
    servable: Servable
    holders: int = 0

    @property
    def version(self) -> int:
        return self.number

    @property
    def meta_graph(self) -> MetaGraph:
        return self.servable.meta_graph

    def run(self, feeds: Mapping[str, Tensor], fetches: Sequence[str]) -> list[Tensor]:
        return self.servable.run(feeds, fetches)


@dataclass(frozen=True, slots=True)
class Held:
    """What is served at one moment, held until a request is answered: a library as :mod:`rest_api` wants it.

    Attributes:
        name: Under which name the model is asked for.
        served: Version number → what answers for it.
        labels: Label → version number.
        known: Every version that was seen → its state, the largest number first.
    """

    name: str
    served: Mapping[int, Served]
    labels: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    known: tuple[VersionState, ...] = ()

    def find(self, name: str, version: int | None = None, label: str | None = None) -> Served:
        """Finds what answers for a model.

        Args:
            name: The model's name.
            version: Its version; None means the largest that is served.
            label: A label instead of a version.

        Raises:
            RequestError: There is none, with the server's sentence (``server_core.cc``, ``basic_manager.cc``).
        """
        if label is not None:
            if name != self.name or label not in self.labels:
                raise RequestError(f"Unrecognized servable version label: {label}", "INVALID_ARGUMENT")
            version = self.labels[label]
        chosen = max(self.served, default=None) if version is None else version
        if name != self.name or chosen is None or chosen not in self.served:
            asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise RequestError(f"Servable not found for request: {asked}", "NOT_FOUND")
        return self.served[chosen]

    def states(self, name: str, version: int | None = None) -> tuple[VersionState, ...]:
        """The states of a model's versions, the largest number first, or of one version.

        Raises:
            RequestError: There is none, with the server's sentence (``get_model_status_impl.cc``).
        """
        known = self.known if name == self.name else ()
        if version is None:
            if not known:
                raise RequestError(f"Could not find any versions of model {name}", "NOT_FOUND")
            return known
        found = tuple(state for state in known if state.version == version)
        if not found:
            raise RequestError(f"Could not find version {version} of model {name}", "NOT_FOUND")
        return found


class Versions:
    """The versions of one base path: what is served of them, and how that changes.

    Args:
        base_path: The folder whose children are version folders.
        name: Under which name the model is asked for.
        make: Makes what will serve a version folder; nothing is loaded by that.
        numbers: The versions to serve side by side; None serves the largest one only.
        labels: Label → version number.
        observer: Is told of every event, by the thread in which it happens; what it raises is not heard.
    """

    def __init__(
        self,
        base_path: Path,
        name: str,
        make: Callable[[Path], Servable],
        *,
        numbers: Collection[int] | None = None,
        labels: Mapping[str, int] | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.base_path = base_path
        self.name = name
        self._make = make
        self._numbers = None if numbers is None else frozenset(numbers)
        self._labels = dict(labels or {})
        self._observer = observer
        self._changed = threading.Condition()
        self._polling = threading.Lock()
        self._served: Mapping[int, _Loaded] = MappingProxyType({})
        self._states: dict[int, VersionState] = {}
        self._failed: dict[int, Stamp] = {}
        self._loading: Servable | None = None
        self._enders: list[threading.Thread] = []
        self._watcher: threading.Thread | None = None
        self._unreadable = False
        self._closed = threading.Event()

    @contextlib.contextmanager
    def held(self) -> Iterator[Held]:
        """What is served now; none of it ends before the block does.

        Raises:
            RunError: It is closed.
        """
        with self._changed:
            if self._closed.is_set():
                raise RunError(f"the server of {quoted(self.name)} has ended")
            served = self._served
            for one in served.values():
                one.holders += 1
            known = tuple(self._states[number] for number in sorted(self._states, reverse=True))
            labels = dict(self._labels)
        try:
            yield Held(self.name, served, labels, known)
        finally:
            with self._changed:
                for one in served.values():
                    one.holders -= 1
                self._changed.notify_all()

    @property
    def served(self) -> tuple[int, ...]:
        """The numbers of the versions that are served, the largest first."""
        return tuple(sorted(self._served, reverse=True))

    @property
    def labels(self) -> Mapping[str, int]:
        """Label → version number."""
        return MappingProxyType(dict(self._labels))

    def state(self, number: int) -> VersionState | None:
        """The state of a version, None where it was never seen."""
        return self._states.get(number)

    def set_label(self, label: str, version: int) -> None:
        """Lets a label mean a version, which must be served.

        Raises:
            RequestError: It isn't, with the server's sentence (``UpdateModelVersionLabelMap`` in ``server_core.cc``).
        """
        with self._changed:
            if version not in self._served:
                raise RequestError(
                    f"Request to assign label to version {version} of model {self.name}, "
                    "which is not currently available for inference",
                    "FAILED_PRECONDITION",
                )
            self._labels[label] = version

    def poll(self) -> None:
        """Looks at the base path once: loads what is new, then gives up what is no longer wanted."""
        with self._polling:
            wanted = self._wanted()
            if wanted is None:
                return
            before = max(self._served, default=None)
            for number in sorted(wanted, reverse=True):
                if number not in self._served and not self._closed.is_set():
                    self._try(number, wanted[number])
            self._failed = {number: stamp for number, stamp in self._failed.items() if number in wanted}
            given_up: list[_Loaded] = []
            if not wanted or any(number in self._served for number in wanted):
                given_up = self._take_out([number for number in self._served if number not in wanted])
            after = max(self._served, default=None)
            if before is not None and after is not None and before != after:
                self._tell("switched", after, f"switched from version {before} to version {after}")
            self._end_later(given_up)

    def watch(self, poll_s: float = POLL_S) -> None:
        """Polls in a thread of its own until :meth:`close`.

        Args:
            poll_s: The time between two looks, in seconds.
        """

        def look() -> None:
            while not self._closed.wait(poll_s):
                self.poll()

        self._watcher = threading.Thread(target=look, name=f"versions of {self.name}", daemon=True)
        self._watcher.start()

    def close(self) -> None:
        """Ends everything at once: what is loading, what serves and what was being given up; may be called twice."""
        self._closed.set()
        with self._changed:
            loading, served = self._loading, self._served
            self._served = MappingProxyType({})
            self._changed.notify_all()
        if loading is not None:
            loading.close()
        for one in served.values():
            self._end(one)
        # A look that is under way may still give versions up, so its thread comes first.
        if self._watcher is not None and self._watcher is not threading.current_thread():
            self._watcher.join(_JOIN_S)
        with self._changed:
            enders = [*self._enders]
        for ender in enders:
            ender.join(_JOIN_S)

    def _wanted(self) -> dict[int, Path] | None:
        """Version number → folder of what should be served; None where the base path can't be listed.

        Of two folders that mean one number the last is taken, as the server takes one and warns.
        """
        try:
            folders = {version.number: version.path for version in list_versions(self.base_path)}
        except (SourceError, OSError) as error:
            # Unmounted or renamed for a moment, as the server takes it; without its versions it is another matter.
            if not self._unreadable:
                self._tell("unreadable", None, f"the base path can't be read, what is served stays: {error}")
            self._unreadable = True
            return None
        self._unreadable = False
        numbers = self._numbers if self._numbers is not None else {max(folders)} if folders else set()
        return {number: folders[number] for number in numbers if number in folders}

    def _try(self, number: int, folder: Path) -> None:
        """Loads a version, unless it failed already and its folder is as it was then."""
        stamp = _stamp(folder)
        if self._failed.get(number) == stamp:
            return
        self._tell("loading", number, f"loading version {number}")
        servable = self._make(folder)
        with self._changed:
            self._states[number] = VersionState(number, "LOADING")
            self._loading = servable
        try:
            if self._closed.is_set():
                raise RunError("the server has ended")
            servable.load()
        except Exception as error:  # whatever it is: polling goes on, and what serves serves
            self._failed[number] = stamp
            self._refuse(number, error)
            servable.close()
            return
        except BaseException:
            servable.close()
            raise
        finally:
            with self._changed:
                self._loading = None
        with self._changed:
            if not self._closed.is_set():
                self._failed.pop(number, None)
                self._states[number] = VersionState(number, "AVAILABLE")
                self._served = MappingProxyType({**self._served, number: _Loaded(number, servable)})
        if number not in self._served:  # it was closed in between
            servable.close()
            return
        self._tell("serving", number, f"serving version {number}")

    def _refuse(self, number: int, error: Exception) -> None:
        code = error.code if isinstance(error, RequestError) and error.code else "UNKNOWN"
        with self._changed:
            self._states[number] = VersionState(number, "END", code, str(error))
        if self._closed.is_set():
            return
        stays = f"; version {max(self._served)} keeps serving" if self._served else ""
        reason = printable_name(" ".join(str(error).split("\n")), _LONGEST_REASON)
        self._tell("refused", number, f"refused version {number}: {reason}{stays}")

    def _take_out(self, numbers: Collection[int]) -> list[_Loaded]:
        """Takes versions out of service, all at once."""
        with self._changed:
            taken = [self._served[number] for number in numbers]
            self._served = MappingProxyType({key: one for key, one in self._served.items() if one not in taken})
            for one in taken:
                self._states[one.number] = VersionState(one.number, "UNLOADING")
        return taken

    def _end_later(self, taken: Collection[_Loaded]) -> None:
        """Ends each version when the last request on it is answered."""
        with self._changed:
            self._enders = [thread for thread in self._enders if thread.is_alive()]
            for one in taken:
                name = f"end of version {one.number}"
                ender = threading.Thread(target=self._drain, args=(one,), name=name, daemon=True)
                ender.start()
                self._enders.append(ender)

    def _drain(self, one: _Loaded) -> None:
        with self._changed:
            self._changed.wait_for(lambda: one.holders == 0 or self._closed.is_set())
        self._end(one)

    def _end(self, one: _Loaded) -> None:
        one.servable.close()
        with self._changed:
            # While it was drained, its number may have come back and been loaded anew.
            if one.number not in self._served and self._states[one.number].state in ("UNLOADING", "AVAILABLE"):
                self._states[one.number] = VersionState(one.number, "END")
        self._tell("ended", one.number, f"ended version {one.number}")

    def _tell(self, kind: EventKind, version: int | None, text: str) -> None:
        tell(self._observer, Event(kind, text, version))


def _stamp(folder: Path) -> Stamp:
    """What of a folder changes when somebody writes into it: names, sizes and times of its files."""
    found = []
    try:
        for file in list_files(folder):
            try:
                found.append((file.name, file.size_bytes, (folder / file.name).stat().st_mtime_ns))
            except OSError:
                continue  # it vanished meanwhile
    except SourceError:
        pass
    return tuple(found)
