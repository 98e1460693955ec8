"""Which lines of a picture go back to where they come from, as those of a loop do."""

from __future__ import annotations

from collections.abc import Sequence


def ways_back(count: int, lines: Sequence[tuple[int, int]]) -> frozenset[int]:
    """The lines that close a circle: those within one that go against the order in which the blocks are given.

    Args:
        count: How many blocks there are.
        lines: From which to which of them each goes.

    Returns:
        The numbers of lines without which there is no circle.
    """
    circle_of = _circles(count, lines)
    return frozenset(
        number
        for number, (source, target) in enumerate(lines)
        if target < source and circle_of[source] == circle_of[target]
    )


def _circles(count: int, lines: Sequence[tuple[int, int]]) -> list[int]:
    """For each block a number that it shares with those that it leads to and that lead to it (Tarjan's algorithm)."""
    after: list[list[int]] = [[] for _ in range(count)]
    for source, target in lines:
        after[source].append(target)
    circle_of = [-1] * count
    met = [-1] * count
    lowest = [0] * count
    open_blocks: list[int] = []
    clock = 0
    for start in range(count):
        if met[start] >= 0:
            continue
        pending = [(start, iter(after[start]))]
        met[start] = lowest[start] = clock
        clock += 1
        open_blocks.append(start)
        while pending:
            block, rest = pending[-1]
            for target in rest:
                if met[target] < 0:
                    met[target] = lowest[target] = clock
                    clock += 1
                    open_blocks.append(target)
                    pending.append((target, iter(after[target])))
                    break
                if circle_of[target] < 0:
                    lowest[block] = min(lowest[block], met[target])
            else:
                pending.pop()
                if pending:
                    outer = pending[-1][0]
                    lowest[outer] = min(lowest[outer], lowest[block])
                if lowest[block] == met[block]:
                    while circle_of[block] < 0:
                        circle_of[open_blocks.pop()] = block
    return circle_of
