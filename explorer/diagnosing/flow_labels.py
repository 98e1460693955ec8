"""What is written on the boxes of a flow: of nodes, of groups, and of what there is no room for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from explorer.diagnosing.flow_bodies import ARGUMENT, ENDS, INPUT, LEAVES, OUTPUT, Called
from explorer.diagnosing.flow_boxes import Box, Path
from explorer.diagnosing.flow_calls import called_functions, is_call
from explorer.diagnosing.flow_facts import outputs_of
from explorer.diagnosing.flow_frames import BRANCHES, LOOPS, Frame, Frames
from explorer.diagnosing.flow_groups import HELD, PART, SCOPE, Item

_KINDS: Final = {**dict.fromkeys(LOOPS, "loop"), **dict.fromkeys(BRANCHES, "branch")}
_MADE_NAME = re.compile(r"__(?:inference|forward|backward)_(.*?[^_])_*\d+")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a box is.

    Attributes:
        frame: The frame that it belongs to.
        path: Its path.
        parent: That of the unfolded group around it.
        can_unfold: Whether there is something to see in it.
        unfolded: Whether that is seen.
    """

    frame: Frame
    path: Path
    parent: Path
    can_unfold: bool = False
    unfolded: bool = False


def more_box(one: Place, members: Sequence[int], count: int) -> Box:
    """A box for what there is no room for."""
    return Box(
        one.path, one.parent, "more", f"and {count} more", f"{count} more, for which there is no room",
        op_count=sum(1 for number in members if one.frame.body.kinds[number] not in ENDS),
    )  # fmt: skip


def group_box(frames: Frames, one: Place, item: Item) -> Box:
    """A box for a group of nodes."""
    body = one.frame.body
    ops = [number for number in item.members if body.kinds[number] not in ENDS]
    held = [number for number in item.members if body.is_leaf[number] and frames.is_seen(one.frame, number)]
    sizes = [size for number in held if (size := _size(frames, one.frame, number)) is not None]
    title, kind = item.scope.rpartition("/")[2], item.kind
    facts = [_counted(len(ops), "op")]
    if kind == SCOPE and one.parent and not one.parent[-1].startswith("s:"):
        title = item.scope
    if kind == HELD:
        leaves = [frames.leaf(one.frame, number)[0] for number in held]
        words = {one: leaves.count(one) for one in sorted(set(leaves))}
        kind = "constants" if set(words) == {"constant"} else kind
        told = [_counted(count, word) for word, count in words.items()]
        title, facts = (told[0], []) if len(told) == 1 else (_counted(len(leaves), "capture"), told)
    elif kind == PART:
        names = [body.names[number].rpartition("/")[2] for number in ops] or [title]
        title = names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
    return Box(
        one.path, one.parent, kind, title, item.scope or title, facts=tuple(facts), function=body.function,
        op_count=len(ops), can_unfold=True, unfolded=one.unfolded, size_bytes=sum(sizes) if sizes else None,
    )  # fmt: skip


def role_box(one: Place, called: Called) -> Box:
    """A box for one of the functions that a node is given."""
    title = {"then_branch": "then", "else_branch": "else", "cond": "condition"}.get(called.role, called.role)
    return Box(
        one.path, one.parent, "function", title, called.function, facts=(function_title(called.function),),
        functions=(called.function,), can_unfold=one.can_unfold, unfolded=one.unfolded,
        function=one.frame.body.function,
    )  # fmt: skip


def node_box(frames: Frames, one: Place, number: int) -> Box:
    """A box for a node."""
    frame, body = one.frame, one.frame.body
    name, op, kind = body.names[number], body.ops[number], body.kinds[number]
    called = () if kind in ENDS else called_functions(frames.graph, body, number)
    tensors = tuple(str(given) for given in outputs_of(frames.graph, body, number))
    facts = [tensors[0] if len(tensors) == 1 else ""]
    size = None
    title = name.rpartition("/")[2] or name
    if kind in (INPUT, OUTPUT):
        title, name = name, body.fed_tensors[number]
        facts = [body.infos.get(number) or facts[0]]
        if kind == INPUT and not body.consumers[number]:
            facts.append("not used")
    elif kind in LEAVES or (kind == ARGUMENT and number in body.handles):
        kind, name, held = frames.leaf(frame, number)
        title = name.rpartition("/")[2] or name
        if held is not None:
            facts, size = [held.text, held.note], held.size_bytes
            if kind == "constant" and held.note:
                title, facts = held.note.removeprefix("= "), [held.text]
    elif called:
        kind = "call" if is_call(op, called) else _KINDS.get(op, "function")
        if kind == "call" and op in title:
            title = function_title(called[0].function)
        elif kind == "call":
            op = function_title(called[0].function)
        facts = [op, facts[0]]
        if not one.can_unfold:
            facts.append("calls itself")
    elif kind not in ENDS:
        facts = [op, facts[0]]
        if kind == "placeholder":
            facts.append("nobody feeds it")
        elif op == "NoOp":
            kind, facts = "order", []
    if len(tensors) > 1 and kind not in (INPUT, OUTPUT):
        facts.append(f"{len(tensors)} outputs")
    return Box(
        one.path, one.parent, kind, title, name, body.ops[number], tuple(fact for fact in facts if fact),
        tuple(tensor for tensor in tensors if tensor), body.function,
        tuple(one.function for one in called), body.devices[number],
        0 if body.kinds[number] in ENDS else 1,
        bool(called) and one.can_unfold, one.unfolded, size,
    )  # fmt: skip


def function_title(name: str) -> str:
    """The name that a person gave a function, out of that which TensorFlow made of it: ``__inference_encode_35``."""
    found = _MADE_NAME.fullmatch(name)
    return found[1] if found is not None else name


def _size(frames: Frames, frame: Frame, number: int) -> int | None:
    held = frames.leaf(frame, number)[2]
    return None if held is None else held.size_bytes


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
