"""``serve``: TensorFlow Serving's REST and gRPC for a base path, in the foreground."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from explorer.cli.printing import print_text, version_labels
from explorer.errors import printable_name

if TYPE_CHECKING:
    from explorer.runtime.events import Event


def serve(options: argparse.Namespace) -> int:
    """Serves until it is interrupted; prints the URL first, then a line for everything that happens.

    With ``--grpc-port`` the second line is the address of the gRPC API.

    Returns:
        0, once SIGINT or SIGTERM ended it.

    Raises:
        UsageError: A label isn't written as ``NAME=VERSION``.
        RunError: It can't be served; the sentence says why.
        SourceError: There is no base path.
    """
    from explorer.runtime.server import serve as start

    told = _Lines()
    try:
        with _signals_interrupt():
            server = start(
                options.path,
                consent=True,
                name=options.name,
                port=options.port,
                grpc_port=options.grpc_port,
                poll_s=options.poll,
                labels=version_labels(options.label),
                observer=told.event,
            )
            with server:
                addresses = [server.url, *([server.grpc_address] if server.grpc_address is not None else [])]
                told.begin(addresses, _hand_over(server.base_path, server.name))
                threading.Event().wait()
    except KeyboardInterrupt:
        pass
    return 0


class _Lines:
    """Prints events, those of the start after the addresses."""

    def __init__(self) -> None:
        self._printing = threading.Lock()
        self._waiting: list[str] | None = []

    def begin(self, addresses: list[str], note: str) -> None:
        """Prints the addresses, and from now on every event at once."""
        with self._printing:
            for line in (*addresses, *(self._waiting or ())):
                print_text(line)
            self._waiting = None
            sys.stdout.flush()
        print(note, file=sys.stderr, flush=True)

    def event(self, event: Event) -> None:
        """Prints an event."""
        with self._printing:
            if self._waiting is not None:
                self._waiting.append(str(event))
                return
            print_text(str(event))
            sys.stdout.flush()


@contextlib.contextmanager
def _signals_interrupt() -> Iterator[None]:
    """SIGTERM does what Ctrl-C does, and both do it once: stopping takes no more than some seconds."""
    numbers = (signal.SIGINT, signal.SIGTERM)

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _hand_over(base_path: Path, name: str) -> str:
    """What is said once: who serves in production, and how to get there."""
    command = ["python", "-m", "explorer", "handover", str(base_path), "--to", "docker", "--name", name]
    return (
        "explorer: this server is for trying things out, production belongs to TensorFlow Serving; "
        f"what starts that one is printed by: {printable_name(shlex.join(command), 4000)}"
    )
