"""What is seen of a flow: boxes, and the links between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MOST_BOXES: Final = 300
"""So many boxes at a time can be drawn and looked at; what doesn't fit is counted."""

Path = tuple[str, ...]
"""The way to a box: what each group on it is called."""


@dataclass(frozen=True, slots=True)
class Box:
    """A node or a group, as it is seen.

    Attributes:
        path: Where it is.
        parent: The path of the unfolded group around it; empty for the signature itself.
        kind: ``input``, ``output``, ``argument``, ``result``, ``op``, ``variable``, ``constant``, ``table``,
            ``placeholder`` (one that nobody feeds), ``order`` (a NoOp); of groups ``call``, ``loop``, ``branch``,
            ``function`` (another op that is given functions, or one of them), ``scope``, ``part``, ``held`` (what the
            model holds for one box), ``constants`` (the same, and nothing else); ``more`` for what is left out.
        title: What to write on it: the last part of its name, the number of what is in it.
        name: Its whole name in the graph or function.
        op: Its op; empty for what is no op.
        facts: What else is worth writing on it, in a few words each.
        tensors: The tensors that it gives, as text.
        function: The function it stands in; empty for the graph.
        functions: The functions that it runs.
        device: Where it was placed.
        op_count: How many ops it stands for, those in functions not counted.
        can_unfold: Whether there is something to see in it.
        unfolded: Whether that is seen.
        size_bytes: How large what it holds is; None where that isn't known, or it holds nothing.
    """

    path: Path
    parent: Path
    kind: str
    title: str
    name: str
    op: str = ""
    facts: tuple[str, ...] = ()
    tensors: tuple[str, ...] = ()
    function: str = ""
    functions: tuple[str, ...] = ()
    device: str = ""
    op_count: int = 0
    can_unfold: bool = False
    unfolded: bool = False
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """That a box takes something from another, or runs after it.

    Attributes:
        source: The path of the box that it comes from.
        target: The path of the box that it goes to.
        tensors: Which outputs of which nodes, with dtype and shape; the first of many, and none for an order.
        count: How many tensors they are.
        is_order: Whether it is a control edge, which only says what runs first.
    """

    source: Path
    target: Path
    tensors: tuple[str, ...] = ()
    count: int = 0
    is_order: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """A flow with some of its groups unfolded.

    Attributes:
        boxes: What is seen, each after the group that it is in.
        links: What goes between them.
        left_out: How many boxes there was no room for.
    """

    boxes: tuple[Box, ...]
    links: tuple[Link, ...]
    left_out: int = 0
