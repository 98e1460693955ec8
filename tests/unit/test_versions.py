"""Which versions are served: chosen, loaded, switched and given up as TensorFlow Serving does; no model is run."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from explorer.errors import RequestError, RunError
from explorer.runtime.events import Event
from explorer.runtime.versions import Versions
from explorer.savedmodel.model import MetaGraph
from explorer.savedmodel.tensors import Tensor

WAIT_S = 10.0


class Fake:
    """A version that loads if its folder holds a saved_model.pb, and says what happened to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meta_graph = MetaGraph(("serve",), {})
        self.closed = threading.Event()
        self.began = threading.Event()
        self.may_load = threading.Event()
        self.may_load.set()

    def load(self) -> None:
        """Waits until it may, then loads."""
        self.began.set()
        while not self.may_load.wait(0.01):
            if self.closed.is_set():
                raise RunError("closed while loading")
        if not (self.folder / "saved_model.pb").exists():
            raise RequestError(f"Could not find SavedModel .pb or .pbtxt at {self.folder.name}", "NOT_FOUND")

    def run(self, feeds: Mapping[str, Tensor], fetches: Sequence[str]) -> list[Tensor]:
        """Answers with the name of its folder."""
        assert not self.closed.is_set(), "it was run after its end"
        return [Tensor(7, (), texts=(self.folder.name.encode(),))]

    def close(self) -> None:
        """Ends it."""
        self.closed.set()


class Stage:
    """A base path, the versions served of it, and everything that was made and told."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.made: list[Fake] = []
        self.events: list[Event] = []
        self.opened: list[Versions] = []
        self.slow = False

    def make(self, folder: Path) -> Fake:
        """What Versions calls."""
        fake = Fake(folder)
        if self.slow:
            fake.may_load.clear()
        self.made.append(fake)
        return fake

    def versions(self, **named: Any) -> Versions:
        """Versions that this stage watches."""
        opened = Versions(self.base, "m", self.make, observer=self.events.append, **named)
        self.opened.append(opened)
        return opened

    def add(self, name: str, broken: bool = False) -> Path:
        """A version folder."""
        folder = self.base / name
        folder.mkdir(parents=True)
        if not broken:
            (folder / "saved_model.pb").touch()
        return folder

    def kinds(self) -> list[tuple[str, int | None]]:
        """The events so far."""
        return [(event.kind, event.version) for event in self.events]

    def last(self, name: str) -> Fake:
        """The newest that was made of a folder."""
        return next(fake for fake in reversed(self.made) if fake.folder.name == name)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A base path with version 1."""
    made = Stage(tmp_path / "base")
    made.add("1")
    yield made
    for versions in made.opened:
        versions.close()


def answered_by(versions: Versions, version: int | None = None, label: str | None = None) -> str:
    """The name of the folder that answers."""
    with versions.held() as library:
        (answer,) = library.find("m", version, label).run({}, [])
    return answer.texts[0].decode()


def refusal(act: Callable[[], object]) -> tuple[str, str]:
    """Code and sentence of what an action raises."""
    with pytest.raises(RequestError) as raised:
        act()
    return raised.value.code, str(raised.value)


def states(versions: Versions) -> list[tuple[int, str, str]]:
    """The states that a client is told."""
    with versions.held() as library:
        return [(state.version, state.state, state.error_code) for state in library.states("m")]


def until(true: Callable[[], bool]) -> None:
    """Waits for what another thread does."""
    for _ in range(int(WAIT_S / 0.01)):
        if true():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it didn't happen")


@pytest.mark.parametrize(
    ("names", "served"),
    [
        (["2"], "2"),
        (["007"], "007"),
        (["10", "9"], "10"),
        (["v9", "9.tmp", "12_old", "temp-99"], "1"),
        (["-5"], "1"),
        (["+8"], "+8"),
        ([" 9 "], " 9 "),
    ],
)
def test_the_largest_number_is_served(stage: Stage, names: list[str], served: str) -> None:
    """Names are numbers as absl::SimpleAtoi takes them, and the largest one answers."""
    for name in names:
        stage.add(name)
    versions = stage.versions()
    versions.poll()
    assert answered_by(versions) == served
    assert len(stage.made) == 1


def test_a_new_version_is_switched_to(stage: Stage) -> None:
    """The new version answers, the old one is closed and shows END; every step is told."""
    versions = stage.versions()
    versions.poll()
    assert states(versions) == [(1, "AVAILABLE", "OK")]
    stage.add("2")
    versions.poll()
    assert answered_by(versions) == "2"
    assert stage.last("1").closed.wait(WAIT_S)
    until(lambda: states(versions) == [(2, "AVAILABLE", "OK"), (1, "END", "OK")])
    assert stage.kinds()[:5] == [("loading", 1), ("serving", 1), ("loading", 2), ("serving", 2), ("switched", 2)]
    until(lambda: stage.kinds()[-1] == ("ended", 1))
    assert refusal(lambda: answered_by(versions, 1)) == ("NOT_FOUND", "Servable not found for request: Specific(m, 1)")


def test_a_request_that_runs_keeps_the_old_version(stage: Stage) -> None:
    """What was found before a switch still runs after it, and the old version ends only then."""
    versions = stage.versions()
    versions.poll()
    stage.add("2")
    with versions.held() as library:
        versions.poll()
        assert answered_by(versions) == "2"
        assert not stage.last("1").closed.wait(0.1)
        assert states(versions) == [(2, "AVAILABLE", "OK"), (1, "UNLOADING", "OK")]
        assert library.find("m").run({}, [])[0].texts == (b"1",)
    assert stage.last("1").closed.wait(WAIT_S)


def test_the_old_version_serves_while_the_new_one_loads(stage: Stage) -> None:
    """Loading takes its time without a request noticing; the state says LOADING meanwhile."""
    versions = stage.versions()
    versions.poll()
    stage.slow = True
    stage.add("2")
    polling = threading.Thread(target=versions.poll)
    polling.start()
    until(lambda: len(stage.made) == 2)
    assert stage.last("2").began.wait(WAIT_S)
    assert answered_by(versions) == "1"
    assert states(versions) == [(2, "LOADING", "OK"), (1, "AVAILABLE", "OK")]
    stage.last("2").may_load.set()
    polling.join(WAIT_S)
    assert answered_by(versions) == "2"


def test_a_broken_version_leaves_the_old_one(stage: Stage) -> None:
    """It shows END with its error, is closed, and isn't tried again until something in its folder changes."""
    versions = stage.versions()
    versions.poll()
    folder = stage.add("2", broken=True)
    versions.poll()
    versions.poll()
    assert answered_by(versions) == "1"
    assert states(versions) == [(2, "END", "NOT_FOUND"), (1, "AVAILABLE", "OK")]
    assert len(stage.made) == 2 and stage.last("2").closed.is_set()
    (refused,) = [event for event in stage.events if event.kind == "refused"]
    assert "version 2" in str(refused) and "Could not find SavedModel" in str(refused)
    assert "version 1 keeps serving" in str(refused)
    (folder / "saved_model.pb").touch()
    versions.poll()
    assert answered_by(versions) == "2"


def test_a_deleted_newest_falls_back(stage: Stage) -> None:
    """The next largest is loaded before the deleted one is given up."""
    newest = stage.add("2")
    versions = stage.versions()
    versions.poll()
    assert [fake.folder.name for fake in stage.made] == ["2"]
    shutil.rmtree(newest)
    versions.poll()
    assert answered_by(versions) == "1"
    until(lambda: stage.last("2").closed.is_set())
    assert ("switched", 1) in stage.kinds()


def test_all_versions_deleted(stage: Stage) -> None:
    """A base path without versions serves nothing any more; one that can't be listed changes nothing."""
    versions = stage.versions()
    versions.poll()
    stage.base.rename(stage.base.with_name("away"))
    versions.poll()
    versions.poll()
    assert answered_by(versions) == "1"
    assert [kind for kind, _ in stage.kinds()].count("unreadable") == 1
    stage.base.mkdir()
    versions.poll()
    assert refusal(lambda: answered_by(versions)) == ("NOT_FOUND", "Servable not found for request: Latest(m)")
    until(lambda: states(versions) == [(1, "END", "OK")])
    stage.add("1")
    versions.poll()
    assert answered_by(versions) == "1"
    assert states(versions) == [(1, "AVAILABLE", "OK")]


def test_chosen_versions_side_by_side(stage: Stage) -> None:
    """A fixed choice is served together, the largest by default; others are not loaded."""
    for name in ("2", "3", "4"):
        stage.add(name)
    versions = stage.versions(numbers=[1, 3, 99])
    versions.poll()
    assert versions.served == (3, 1)
    assert [answered_by(versions, number) for number in (None, 1, 3)] == ["3", "1", "3"]
    assert refusal(lambda: answered_by(versions, 4))[1] == "Servable not found for request: Specific(m, 4)"


def test_labels(stage: Stage) -> None:
    """A label means a version that is served; one that isn't is refused with the server's sentence."""
    stage.add("2")
    versions = stage.versions(numbers=[1, 2])
    versions.poll()
    versions.set_label("stable", 1)
    assert answered_by(versions, label="stable") == "1"
    versions.set_label("stable", 2)
    assert answered_by(versions, label="stable") == "2"
    assert dict(versions.labels) == {"stable": 2}
    assert refusal(lambda: answered_by(versions, label="canary")) == (
        "INVALID_ARGUMENT", "Unrecognized servable version label: canary",
    )  # fmt: skip
    assert refusal(lambda: versions.set_label("canary", 7)) == (
        "FAILED_PRECONDITION",
        "Request to assign label to version 7 of model m, which is not currently available for inference",
    )


def test_unknown_models_and_versions(stage: Stage) -> None:
    """Each kind of question about what isn't there has the sentence of the server."""
    versions = stage.versions()
    versions.poll()
    with versions.held() as library:
        for act, sentence in (
            (lambda: library.find("x"), "Servable not found for request: Latest(x)"),
            (lambda: library.find("x", 1), "Servable not found for request: Specific(x, 1)"),
            (lambda: library.find("m", 124), "Servable not found for request: Specific(m, 124)"),
            (lambda: library.states("x"), "Could not find any versions of model x"),
            (lambda: library.states("m", 99), "Could not find version 99 of model m"),
            (lambda: library.states("x", 1), "Could not find version 1 of model x"),
        ):
            assert refusal(act) == ("NOT_FOUND", sentence)


def test_watching_and_closing(stage: Stage) -> None:
    """A watched base path is switched by itself; closing ends everything, and a second time does nothing."""
    versions = stage.versions()
    versions.poll()
    versions.watch(0.01)
    stage.add("2")
    until(lambda: versions.served == (2,))
    versions.close()
    versions.close()
    assert all(fake.closed.is_set() for fake in stage.made)
    with pytest.raises(RunError, match="has ended"), versions.held():
        pass


def test_closing_ends_what_is_loading(stage: Stage) -> None:
    """A version that is being loaded when everything ends is closed and never served."""
    stage.slow = True
    versions = stage.versions()
    polling = threading.Thread(target=versions.poll)
    polling.start()
    until(lambda: bool(stage.made) and stage.made[0].began.is_set())
    versions.close()
    polling.join(WAIT_S)
    assert not polling.is_alive()
    assert versions.served == () and stage.made[0].closed.is_set()


def test_an_observer_that_fails_disturbs_nothing(stage: Stage) -> None:
    """What an observer raises is not heard."""

    def observer(event: Event) -> None:
        raise ValueError(event.text)

    versions = Versions(stage.base, "m", stage.make, observer=observer)
    stage.opened.append(versions)
    versions.poll()
    assert answered_by(versions) == "1"


def test_no_request_meets_a_closed_version(stage: Stage) -> None:
    """While versions come and go, requests of several threads always find one that runs."""
    versions = stage.versions()
    versions.poll()
    stop = threading.Event()
    counts: list[int] = []
    failures: list[BaseException] = []

    def ask() -> None:
        count = 0
        try:
            while not stop.is_set():
                answered_by(versions)
                count += 1
        except BaseException as error:
            failures.append(error)
        counts.append(count)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(2, 40):
        stage.add(str(number))
        versions.poll()
        if number % 3 == 0:
            shutil.rmtree(stage.base / str(number))
            versions.poll()
    stop.set()
    for thread in threads:
        thread.join(WAIT_S)
    assert not failures and len(counts) == 4 and min(counts) > 0
    until(lambda: sum(not fake.closed.is_set() for fake in stage.made) == 1)
