"""What tests of the panels share: clicks as the page sends them, what is seen, executors that wait, leaks."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any

import ipywidgets

from explorer.widgets.panel import Panel, is_hidden


def say(widget: ipywidgets.Widget, **content: Any) -> None:
    """Sends a widget what its page would send."""
    widget._handle_custom_msg(content, [])


def living() -> set[str]:
    """The ids of all widgets that ipywidgets holds."""
    return set(sys.modules["ipywidgets.widgets.widget"]._instances)


@contextmanager
def nothing_left_behind() -> Iterator[list[Panel]]:
    """Closes the panels that are put into the list, and fails if that leaves a widget or an observer behind."""
    before = living()
    opened: list[Panel] = []
    yield opened
    for panel in opened:
        panel.close()
    instances = sys.modules["ipywidgets.widgets.widget"]._instances
    left = [instances[key] for key in living() - before]
    assert not left, left
    for panel in opened:
        assert not any(panel.state._trait_notifiers.get(name, {}).get("change") for name in ("revision", "progress"))


def seen(widget: ipywidgets.Widget) -> str:
    """All texts on a widget and in it that aren't hidden, with those of labels, tables and codes."""
    if is_hidden(widget):
        return ""
    names = ("value", "description", "label", "rows", "codes", "problem", "options")
    own = {name: getattr(widget, name) for name in names if hasattr(widget, name)}
    return "\n".join((json.dumps(own, ensure_ascii=False, default=str), *map(seen, getattr(widget, "children", ()))))


class LaterExecutor(Executor):
    """Keeps work until a test says so, as threads that are slow."""

    def __init__(self) -> None:
        self.pending: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Keeps the work."""
        future: Future[Any] = Future()
        self.pending.append((future, lambda: fn(*args, **kwargs)))
        return future

    def work(self, which: int | None = None) -> None:
        """Does what was kept: all of it, and what comes of it, or only one of them."""
        if which is not None:
            _finish(*self.pending.pop(which))
            return
        while self.pending:
            _finish(*self.pending.pop(0))


def _finish(future: Future[Any], work: Callable[[], Any]) -> None:
    try:
        result = work()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
