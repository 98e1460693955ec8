"""Where slow work is done in a notebook."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import cache


def background_executor() -> Executor | None:
    """Threads that all Explorers share, in a notebook; None in a script, where nobody waits for a first picture.

    Their results go into the state from those threads, under its lock. That is what widgets are made for
    (https://ipywidgets.readthedocs.io/en/stable/examples/Widget%20Asynchronous.html), and it goes on while the
    notebook runs a long cell, which results that wait for the kernel's event loop would not.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return None
    return _threads()


@cache
def _threads() -> Executor:
    return ThreadPoolExecutor(max_workers=2, thread_name_prefix="savedmodel-explorer")
