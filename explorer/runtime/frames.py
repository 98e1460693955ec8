"""How the caller and its warm child talk: frames over a socket, tensors as their bytes.

A request is a head of known size, the names of the tensors fed and fetched, and the values; an answer is a status and
either the values or TensorFlow's sentence. All numbers are little-endian. A child that ran a model may send anything:
:func:`receive_answer` believes nothing before it has compared it with what was asked for.

====================  ==============================================================================================
request               ``names_size u32, kinds_size u32``, names, kinds, then the elements of each value
answer                ``code u32, size u32``, then kinds and elements, or (unless the code is 0) a sentence
names                 ``feeds u32, fetches u32``, a ``u32`` size for each name, the names
kinds                 for each tensor ``dtype u32, rank u32, elements_size u64`` and ``i64`` dimensions
elements              as TensorFlow holds them; of texts a ``u64`` size each, then the texts
====================  ==============================================================================================
"""

from __future__ import annotations

import math
import socket
import struct
import time
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise

from explorer.errors import FormatError
from explorer.savedmodel import constants
from explorer.savedmodel.tensors import Tensor

HIGHEST_RANK = 254
"""TensorFlow's ``TensorShape::MaxDimensions()``."""

_PAIR = struct.Struct("=II")
_KIND = struct.Struct("=IIQ")
_LONGEST_HEAD = 1 << 26
_JOINED_BYTES = 1 << 16
"""Pieces smaller than this are sent together: a copy costs less than a call."""

Kind = tuple[int, tuple[int, ...], int]
"""A dtype number, a shape and how many bytes the elements take in a frame."""


def pack_names(feeds: Sequence[str], fetches: Sequence[str]) -> bytes:
    """The names of the tensors that a run feeds and fetches."""
    names = [name.encode("utf-8", "surrogateescape") for name in (*feeds, *fetches)]
    sizes = struct.pack(f"={len(names)}I", *map(len, names))
    return _PAIR.pack(len(feeds), len(fetches)) + sizes + b"".join(names)


def unpack_names(data: bytes) -> tuple[list[bytes], list[bytes]]:
    """The inverse of :func:`pack_names`, with the names as they stand in the model."""
    feed_count, fetch_count = _PAIR.unpack_from(data)
    count = feed_count + fetch_count
    sizes = struct.unpack_from(f"={count}I", data, _PAIR.size)
    ends = accumulate(sizes, initial=_PAIR.size + 4 * count)
    names = [data[start:end] for start, end in pairwise(ends)]
    return names[:feed_count], names[feed_count:]


def pack_kind(dtype: int, shape: Sequence[int], size: int) -> bytes:
    """What a frame says of a tensor."""
    return _KIND.pack(dtype, len(shape), size) + struct.pack(f"={len(shape)}q", *shape)


def unpack_kinds(data: bytes) -> list[Kind]:
    """What a frame says of its tensors.

    Raises:
        FormatError: It is cut short.
    """
    kinds: list[Kind] = []
    at = 0
    try:
        while at < len(data):
            dtype, rank, size = _KIND.unpack_from(data, at)
            shape = struct.unpack_from(f"={min(rank, HIGHEST_RANK + 1)}q", data, at + _KIND.size)
            at += _KIND.size + 8 * rank
            kinds.append((dtype, shape, size))
    except struct.error:
        raise FormatError("a frame of the child process is cut short") from None
    return kinds


def pack_elements(value: Tensor) -> list[bytes]:
    """The elements of a value as they travel, in pieces."""
    return pack_texts(value.texts) if value.dtype == constants.DT_STRING else [value.data]


def pack_texts(texts: Sequence[bytes]) -> list[bytes]:
    """Texts as they travel: all their sizes, then they themselves."""
    return [struct.pack(f"={len(texts)}Q", *map(len, texts)), b"".join(texts)]


def unpack_texts(data: bytes, count: int) -> tuple[bytes, ...]:
    """The inverse of :func:`pack_texts`.

    Raises:
        FormatError: These aren't so many texts.
    """
    if count * 8 > len(data):
        raise FormatError("texts of the child process are cut short")
    sizes = struct.unpack_from(f"={count}Q", data)
    if sum(sizes) != len(data) - 8 * count:
        raise FormatError("texts of the child process don't have the sizes that it gave")
    return tuple(data[start:end] for start, end in pairwise(accumulate(sizes, initial=8 * count)))


def request(names: bytes, values: Iterable[Tensor]) -> list[bytes]:
    """A request as the pieces that are to be sent."""
    kinds, elements = [], []
    for value in values:
        pieces = pack_elements(value)
        kinds.append(pack_kind(value.dtype, value.shape, sum(map(len, pieces))))
        elements += pieces
    head = b"".join(kinds)
    return [_PAIR.pack(len(names), len(head)), names, head, *elements]


def receive_request(channel: socket.socket) -> tuple[bytes, list[Kind]] | None:
    """The names and kinds of a request, whose elements are then to be received; None where there is no other."""
    head = receive(channel, _PAIR.size)
    if len(head) < _PAIR.size:
        return None
    names_size, kinds_size = _PAIR.unpack(head)
    rest = receive(channel, names_size + kinds_size)
    return rest[:names_size], unpack_kinds(rest[names_size:])


def answer_head(code: int, size: int) -> bytes:
    """How an answer begins; ``size`` is that of the kinds, or of the sentence."""
    return _PAIR.pack(code, size)


def receive_answer(
    channel: socket.socket, count: int, most_bytes: int, deadline_s: float
) -> list[Tensor] | tuple[int, str]:
    """Receives an answer of a child and believes none of it.

    Args:
        channel: A socket with a timeout of its own (``SO_RCVTIMEO``).
        count: How many tensors were asked for.
        most_bytes: How many bytes of elements they may have together.
        deadline_s: When ``time.monotonic()`` ends it.

    Returns:
        The tensors, or the number of a status code and a sentence.

    Raises:
        FormatError: It is no answer to that request.
        EOFError: The child ended before it had answered.
        TimeoutError: It took too long.
    """
    code, size = _PAIR.unpack(_receive_all(channel, _PAIR.size, deadline_s))
    if size > _LONGEST_HEAD:
        raise FormatError("a frame of the child process is too long")
    head = _receive_all(channel, size, deadline_s)
    if code:
        return code, head.decode("utf-8", "surrogateescape")
    kinds = unpack_kinds(head)
    if len(kinds) != count or sum(size for _, _, size in kinds) > most_bytes:
        raise FormatError(f"the child process sent {len(kinds)} tensors of a size or number that wasn't asked for")
    return [_receive_tensor(channel, kind, deadline_s) for kind in kinds]


def _receive_tensor(channel: socket.socket, kind: Kind, deadline_s: float) -> Tensor:
    dtype, shape, size = kind
    # Dimensions one by one: of a product with a zero or an overflow in it, the rest could be anything.
    if len(shape) > HIGHEST_RANK or any(not 0 <= dimension < 1 << 62 for dimension in shape):
        raise FormatError("a tensor of the child process has an impossible shape")
    count = math.prod(shape)
    if dtype == constants.DT_STRING:
        if count > size:
            raise FormatError("a tensor of the child process has other texts than its shape says")
        return Tensor(dtype, shape, texts=unpack_texts(_receive_all(channel, size, deadline_s), count))
    element_size = constants.DTYPE_SIZES.get(dtype, 0)  # of the others, resources among them, nothing is sent
    if size != count * element_size:
        raise FormatError("a tensor of the child process has other elements than its shape says")
    return Tensor(dtype, shape, _receive_all(channel, size, deadline_s))


def _receive_all(channel: socket.socket, size: int, deadline_s: float) -> bytes:
    data = receive(channel, size)
    if time.monotonic() >= deadline_s:
        raise TimeoutError
    if len(data) < size:
        raise EOFError
    return data


def receive(channel: socket.socket, size: int) -> bytes:
    """Exactly so many bytes, or fewer where the other side has gone.

    Raises:
        BlockingIOError: The channel's timeout ran out.
    """
    if not size:
        return b""
    data = channel.recv(size, socket.MSG_WAITALL)  # into memory of the right size: large tensors aren't copied again
    if len(data) == size:
        return data
    pieces = [data]  # a signal came in between, or the system doesn't give so much at once
    left = size - len(data)
    while left and pieces[-1]:
        pieces.append(channel.recv(left, socket.MSG_WAITALL))
        left -= len(pieces[-1])
    return b"".join(pieces)


def receive_into(channel: socket.socket, place: memoryview) -> None:
    """Fills a place with what comes.

    Raises:
        EOFError: The other side has gone.
    """
    while place:
        count = channel.recv_into(place, 0, socket.MSG_WAITALL)
        if not count:
            raise EOFError
        place = place[count:]


def send(channel: socket.socket, pieces: Iterable[bytes | memoryview]) -> None:
    """Sends some pieces, small ones together and large ones without a copy."""
    small: list[bytes | memoryview] = []
    for piece in pieces:
        if len(piece) < _JOINED_BYTES:
            small.append(piece)
            continue
        if small:
            channel.sendall(b"".join(small))
            small = []
        channel.sendall(piece)
    if small:
        channel.sendall(b"".join(small))
