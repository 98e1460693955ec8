"""What the engine's child does: loads one model with the C++ loader and answers runs until its caller hangs up.

It talks over a socket of its own, so whatever TensorFlow or the model prints disturbs nothing. What it can't answer
for, such as memory that it doesn't get, ends it; the caller tells of that and starts another.
"""

from __future__ import annotations

import importlib.util
import math
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from explorer.runtime import c_api, frames
from explorer.runtime.child import NO_TENSORFLOW
from explorer.savedmodel import constants

_MOST_PLANS = 1000


def main(arguments: Sequence[str]) -> int:
    """Serves a model.

    Args:
        arguments: The file descriptor of the socket, the folder with ``saved_model.pb``, the tags.
    """
    descriptor, folder, *tags = arguments
    if importlib.util.find_spec("tensorflow") is None:
        return NO_TENSORFLOW
    with socket.socket(fileno=int(descriptor)) as channel:
        try:
            session = c_api.Session(Path(folder), tags)
        except c_api.CApiError as error:
            if not error.code:
                raise SystemExit(str(error)) from None
            frames.send(channel, _refusal(error))
            return 0
        frames.send(channel, [frames.answer_head(0, 0)])
        _serve(channel, session)
    # TensorFlow's threads are not waited for, nor is its memory given back piece by piece.
    os._exit(0)


def _serve(channel: socket.socket, session: c_api.Session) -> None:
    plans: dict[bytes, c_api.Plan] = {}
    while (asked := frames.receive_request(channel)) is not None:
        names, kinds = asked
        plan = plans.get(names)
        if plan is None:
            if len(plans) >= _MOST_PLANS:
                plans.clear()
            plan = plans[names] = session.plan(*frames.unpack_names(names))
        fed: list[int] = []
        answers: list[int] = []
        try:
            for kind in kinds:
                fed.append(_receive_tensor(channel, kind))
            answers = plan.run(fed)
            frames.send(channel, _answer(answers))
        except c_api.CApiError as error:
            if not error.code:
                raise SystemExit(str(error)) from None
            frames.send(channel, _refusal(error))
        finally:
            c_api.delete_tensors(fed)
            c_api.delete_tensors(answers)


def _receive_tensor(channel: socket.socket, kind: frames.Kind) -> int:
    """Receives the elements of a value straight into a new tensor."""
    dtype, shape, size = kind
    if dtype == constants.DT_STRING:
        return c_api.make_texts(shape, frames.unpack_texts(frames.receive(channel, size), math.prod(shape)))
    tensor = c_api.allocate_tensor(dtype, shape, size)
    frames.receive_into(channel, c_api.view_of(tensor))
    return tensor


def _answer(tensors: Sequence[int]) -> list[bytes | memoryview]:
    kinds, elements = [], []
    for tensor in tensors:
        dtype, shape = c_api.kind_of(tensor)
        pieces: list[bytes | memoryview] = []
        if dtype == constants.DT_STRING:
            pieces += frames.pack_texts(c_api.texts_of(tensor, math.prod(shape)))
        elif dtype in constants.DTYPE_SIZES:
            pieces.append(c_api.view_of(tensor))
        kinds.append(frames.pack_kind(dtype, shape, sum(map(len, pieces))))
        elements += pieces
    head = b"".join(kinds)
    return [frames.answer_head(0, len(head)), head, *elements]


def _refusal(error: c_api.CApiError) -> list[bytes | memoryview]:
    sentence = str(error).encode("utf-8", "surrogateescape")
    return [frames.answer_head(c_api.CODES.index(error.code), len(sentence)), sentence]
