"""Functions that TensorFlow traced, under names that say what they are and don't depend on when they were traced.

TensorFlow numbers what it traces (``map_while_body_123``), within a process, and puts these names into those of
arguments, too. Two traces of one function shall be equal to the byte: a model that was wrapped twice then holds it
once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_NUMBERED = re.compile(r"\A(?:__(?:inference|forward|backward)_)?(?P<stem>.*?)_[0-9]+(?P<end>_[A-Za-z_]+)?\Z")
_HASH_DIGITS = 12


def canonical_functions(functions: Mapping[str, Any], top: str) -> tuple[str, list[Any]]:
    """Renames traced functions: what they are, then a hash of what they do.

    Args:
        functions: Name → FunctionDef, with all that one calls.
        top: The name of the one that calls the others; the new names of all begin with what it is.

    Returns:
        Its new name, and the renamed functions, it first.

    Raises:
        ValueError: Two of its names can't be told apart without TensorFlow's numbers, or functions call each other.
    """
    stem = _stem(top)
    # Some names tell apart what is otherwise the same text: two loops in one function.
    stems = {name: stem if name == top else f"{stem}_{_stem(name)}" for name in functions}
    mentions = _replacer({name: _stem(name) for name in functions})
    renamed: dict[str, Any] = {}
    new_names: dict[str, str] = {}
    for name in _callees_first(functions, top):
        function = type(functions[name])()
        function.CopyFrom(functions[name])
        for node in function.node_def:
            node.ClearField("experimental_debug_info")
            if node.op in new_names:
                node.op = new_names[node.op]
        for called in _called(function):
            called.name = new_names[called.name]
        function.signature.name = ""
        _rewrite_texts(function, mentions)
        _check_names(function)
        digest = hashlib.sha256(function.SerializeToString(deterministic=True)).hexdigest()[:_HASH_DIGITS]
        function.signature.name = new_names[name] = f"{stems[name]}_{digest}"
        renamed[function.signature.name] = function
    first = renamed.pop(new_names[top])
    return new_names[top], [first, *(renamed[name] for name in sorted(renamed))]


def _stem(name: str) -> str:
    found = _NUMBERED.match(name)
    return found["stem"] + (found["end"] or "") if found else name


def _callees_first(functions: Mapping[str, Any], top: str) -> list[str]:
    order: dict[str, None] = {}
    waiting: list[tuple[str, bool]] = [(top, False)]
    above: set[str] = set()
    while waiting:
        name, is_done = waiting.pop()
        if is_done:
            above.discard(name)
            order[name] = None
            continue
        if name in order:
            continue
        if name in above:
            raise ValueError(f"{name} calls itself")
        above.add(name)
        waiting.append((name, True))
        function = functions[name]
        callees = {called.name for called in _called(function)} | {node.op for node in function.node_def}
        waiting += [(callee, False) for callee in sorted(callees & functions.keys()) if callee not in order]
    return list(order)


def _called(function: Any) -> Iterator[Any]:
    """Every mention of another function in the attributes of a function's nodes."""
    for node in function.node_def:
        for attr in node.attr.values():
            if attr.HasField("func"):
                yield attr.func
            yield from attr.list.func


def _replacer(names: Mapping[str, str]) -> Callable[[str], str]:
    if not names:
        return str
    pattern = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    compiled = re.compile(f"(?:{pattern})(?![0-9])")
    return lambda text: compiled.sub(lambda found: names[found[0]], text)


def _rewrite_texts(message: Any, rewritten: Callable[[str], str]) -> None:
    """Rewrites the names of arguments and nodes, and what refers to them."""
    for argument in (*message.signature.input_arg, *message.signature.output_arg):
        argument.name = rewritten(argument.name)
    for node in message.node_def:
        node.name = rewritten(node.name)
        node.input[:] = [rewritten(text) for text in node.input]
    message.signature.control_output[:] = [rewritten(text) for text in message.signature.control_output]
    for results in (message.ret, message.control_ret):
        pairs = {rewritten(key): rewritten(value) for key, value in results.items()}
        results.clear()
        results.update(pairs)
    for attributes in message.arg_attr.values():
        user_name = attributes.attr.get("_user_specified_name")
        if user_name is not None:
            user_name.s = rewritten(user_name.s.decode()).encode()


def _check_names(function: Any) -> None:
    names = [argument.name for argument in function.signature.input_arg] + [node.name for node in function.node_def]
    results = [argument.name for argument in function.signature.output_arg]
    if len(set(names)) < len(names) or len(set(results)) < len(results) or set(results) != set(function.ret):
        raise ValueError("two names of a function differ in a number of TensorFlow's only")
