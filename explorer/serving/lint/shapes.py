"""Shapes of nested lists: whether they are rectangular, and what is missing or too much against the declared one.

The server never compares the shape of a request with that of the signature; only the graph's own ops can object. So
what is found here is a warning, unless the lists aren't rectangular.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from explorer.savedmodel.model import Shape
from explorer.serving.lint.tree import Node, moved, new_array

MOST_RANK: Final = 254
"""The most dimensions of a tensor (``TensorShape::MaxDimensions`` of TensorFlow)."""


class Measured(NamedTuple):
    """Nested lists, measured.

    Attributes:
        shape: The sizes, along the first element of each level, as the server takes them.
        leaves: What stands in the innermost lists.
        odd: The first element whose size or depth is another; None where the lists are rectangular.
        why: What is odd about it.
    """

    shape: tuple[int, ...]
    leaves: list[Node]
    odd: Node | None = None
    why: str = ""


def measure(node: Node) -> Measured:
    """Measures nested lists."""
    sizes: list[int] = []
    level = [node]
    odd, why = None, ""
    while level and level[0].kind == "array":
        size = len(level[0].items)
        below: list[Node] = []
        for entry in level:
            if entry.kind != "array":
                if odd is None:
                    odd, why = entry, "is a value where lists stand beside it"
            elif len(entry.items) != size and odd is None:
                odd, why = entry, f"has {_elements(len(entry.items))}, and those before it have {size}"
            below += entry.items
        sizes.append(size)
        level = below
    if odd is None:
        odd = next((entry for entry in level if entry.kind == "array"), None)
        why = "is a list where values stand before it"
    # Deeper lists than the first element's are looked at too, so that every wrong value is told.
    leaves = [entry for entry in level if entry.kind != "array"]
    pending = [entry for entry in level if entry.kind == "array"]
    while pending:
        entry = pending.pop()
        pending += [item for item in entry.items if item.kind == "array"]
        leaves += [item for item in entry.items if item.kind != "array"]
    return Measured(tuple(sizes), leaves, odd, why)


def fits(shape: Sequence[int], declared: Sequence[int | None]) -> bool:
    """Whether a shape is one that dimensions allow."""
    return len(shape) == len(declared) and all(
        want is None or want < 0 or size == want for size, want in zip(shape, declared, strict=True)
    )


def printable_sizes(shape: Sequence[int]) -> str:
    """A shape as it stands in a sentence."""
    return str(Shape(tuple(shape)))


def without_first(node: Node) -> bool:
    """Takes away an outermost list of one element; False where it has another number of them."""
    if node.kind != "array" or len(node.items) != 1:
        return False
    node.become(node.items[0])
    return True


def within_list(node: Node) -> None:
    """Puts a list around a value."""
    inner = moved(node)
    node.become(new_array([inner], node))


def leaves_unwrapped(node: Node) -> None:
    """Takes away the innermost lists, which have one element each."""
    pending = [node]
    while pending:
        entry = pending.pop()
        if entry.kind != "array":
            continue
        if len(entry.items) == 1 and entry.items[0].kind != "array":
            entry.become(entry.items[0])
        else:
            pending += entry.items


def leaves_wrapped(node: Node) -> None:
    """Puts a list around each element."""
    for leaf in measure(node).leaves:
        within_list(leaf)


def _elements(count: int) -> str:
    return "1 element" if count == 1 else f"{count} elements"
