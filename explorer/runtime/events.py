"""What a server tells of its work, for whoever shows it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

EventKind = Literal["loading", "serving", "switched", "refused", "ended", "unreadable", "request"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        kind: ``loading`` a version, ``serving`` it, ``switched`` to it from another, ``refused`` because it can't be
            loaded, ``ended``: its child process is gone; ``unreadable``: the base path can't be listed; ``request``:
            one was answered.
        text: The event as one line.
        version: The version that it is about.
    """

    kind: EventKind
    text: str
    version: int | None = None

    def __str__(self) -> str:
        return self.text


Observer = Callable[[Event], None]
"""Is told of every event, by the thread in which it happens."""


def tell(observer: Observer | None, event: Event) -> None:
    """Tells an observer, if there is one; what it raises is not heard, for it must not end what it observes."""
    if observer is not None:
        with contextlib.suppress(Exception):
            observer(event)
