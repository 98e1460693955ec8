"""A document that is a file plus pending changes, itself readable like a file.

An edit never copies what it leaves alone: a :class:`Document` is a list of pieces, each a range of a source. What an
edit produces is read again by the same reader, checked by the same checks, and written out piece by piece, so what a
person sees is what an export writes.
"""

from __future__ import annotations

import os
import stat
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, NamedTuple, Protocol

from explorer.errors import ExplorerError, FormatError, PathNotFoundError, SourceError, quoted
from explorer.savedmodel import wire
from explorer.savedmodel.wire import Field

_COPY_CHUNK = 1 << 20
_COMPARE_CHUNK = 1 << 16  # two of them stay in the cache; larger ones cost eight times the CPU


class Source(Protocol):
    """Bytes that don't change: a file that is held open, or text in memory.

    Attributes:
        derived: What was worked out from the bytes and is worth keeping as long as they are, by a key of its maker.
    """

    derived: dict[object, object]

    @property
    def size(self) -> int:
        """How many bytes there are."""

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes of a range, all of them."""


class BytesSource:
    """Bytes in memory."""

    __slots__ = ("_data", "derived")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.derived: dict[object, object] = {}

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return len(self._data)

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes of a range."""
        return self._data[offset : offset + length]


class FileSource:
    """A regular file, held open and read by position.

    A memory map is avoided on purpose: when another process truncates a mapped file, the kernel ends with SIGBUS,
    where a positioned read ends with an error.

    Args:
        path: The file. A link is followed; a pipe, a device or a folder is refused without being waited for.

    Raises:
        SourceError: It can't be opened, or it is no regular file.
    """

    __slots__ = ("_descriptor", "_identity", "_lock", "derived", "path", "size")

    def __init__(self, path: str) -> None:
        self.path = path
        self.derived: dict[object, object] = {}
        self._descriptor = -1
        self._lock = threading.Lock()
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        try:
            self._descriptor = os.open(path, flags)
            status = os.fstat(self._descriptor)
        except FileNotFoundError:
            raise PathNotFoundError(f"there is no file {quoted(path)}", path) from None
        except OSError as error:
            raise SourceError(f"{quoted(path)} cannot be read: {error.strerror or error}", path) from None
        if not stat.S_ISREG(status.st_mode):
            raise SourceError(f"{quoted(path)} is no regular file but {_kind_of(status.st_mode)}", path)
        self.size = status.st_size
        self._identity = (status.st_size, status.st_mtime_ns)

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes of a range; the file must still be as long as it was.

        Raises:
            SourceError: The read failed, or the file was truncated after it was opened.
        """
        try:
            data = self._pread(offset, length)
            while len(data) < min(length, self.size - offset):
                more = self._pread(offset + len(data), length - len(data))
                if not more:
                    raise SourceError(
                        f"{quoted(self.path)} became shorter while it was open; open the model again", self.path
                    )
                data += more
        except OSError as error:
            if isinstance(error, ExplorerError):
                raise
            raise SourceError(f"{quoted(self.path)} cannot be read: {error.strerror or error}", self.path) from None
        return data

    def _pread(self, offset: int, length: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._descriptor, length, offset)
        with self._lock:  # Windows has no positioned read
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            return os.read(self._descriptor, length)

    def check_unchanged(self) -> None:
        """Refuses a file that somebody wrote to after it was opened.

        Raises:
            SourceError: Its size or its time of modification is another one.
        """
        status = os.fstat(self._descriptor)
        if (status.st_size, status.st_mtime_ns) != self._identity:
            raise SourceError(
                f"{quoted(self.path)} was changed by someone else after it was opened; open the model again", self.path
            )

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        # By argument, because a model that lives until the interpreter ends outlives the names of this module.
        if self._descriptor >= 0:
            close(self._descriptor)
            self._descriptor = -1


def _kind_of(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


class Piece(NamedTuple):
    """A range of a source."""

    source: Source
    offset: int
    length: int


class Document:
    """An immutable sequence of pieces that reads like one file.

    Attributes:
        pieces: The pieces in order, none of them empty.
        size: The sum of their lengths, in bytes.
    """

    __slots__ = ("_starts", "pieces", "size")

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self.pieces = tuple(piece for piece in pieces if piece.length)
        starts, position = [], 0
        for piece in self.pieces:
            starts.append(position)
            position += piece.length
        self._starts = starts
        self.size = position

    @classmethod
    def of(cls, source: Source) -> Document:
        """The document that is a source, unchanged."""
        return cls([Piece(source, 0, source.size)])

    @classmethod
    def of_bytes(cls, data: bytes) -> Document:
        """The document that is these bytes."""
        return cls.of(BytesSource(data))

    @classmethod
    def joined(cls, parts: Iterable[bytes | Document]) -> Document:
        """The document that is some parts, one after the other."""
        documents = [part if isinstance(part, Document) else cls.of_bytes(part) for part in parts]
        return cls(piece for document in documents for piece in document.pieces)

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes of a range; fewer only where the document ends."""
        if len(self.pieces) == 1:
            piece = self.pieces[0]
            return piece.source.read_at(piece.offset + offset, min(length, piece.length - offset))
        return b"".join(
            piece.source.read_at(piece.offset, piece.length) for piece in self.slice(offset, offset + length)
        )

    def slice(self, start: int, end: int) -> Iterator[Piece]:
        """The pieces of a range, cut to it."""
        end = min(end, self.size)
        index = max(bisect_right(self._starts, start) - 1, 0)
        while start < end:
            source, offset, length = self.pieces[index]
            within = start - self._starts[index]
            taken = min(length - within, end - start)
            yield Piece(source, offset + within, taken)
            start += taken
            index += 1

    def write_to(self, file: BinaryIO) -> None:
        """Writes the document to a file, a mebibyte at a time."""
        for source, offset, length in self.pieces:
            for at in range(offset, offset + length, _COPY_CHUNK):
                file.write(source.read_at(at, min(_COPY_CHUNK, offset + length - at)))

    def to_bytes(self) -> bytes:
        """The whole document in memory: for small ones and for tests."""
        return self.read_at(0, self.size)

    def equals(self, other: Document) -> bool:
        """Whether both have the same bytes; ranges of one source are not read."""
        if self.pieces == other.pieces:
            return True
        if self.size != other.size:
            return False
        return all(
            self.read_at(at, _COMPARE_CHUNK) == other.read_at(at, _COMPARE_CHUNK)
            for at in range(0, self.size, _COMPARE_CHUNK)
        )


class Change(NamedTuple):
    """Bytes that take the place of a range inside a message.

    Attributes:
        parent: The field whose payload the range lies in; None at top level.
        start: The first byte that goes.
        end: The first byte that stays; equal to ``start`` for an insertion.
        new: What comes instead.
    """

    parent: Field | None
    start: int
    end: int
    new: bytes | Document


def replacement(field: Field, new: bytes | Document) -> Change:
    """The change that puts ``new`` where a field stands."""
    return Change(field.parent, field.start, field.end, new)


def removal(field: Field) -> Change:
    """The change that takes a field away."""
    return Change(field.parent, field.start, field.end, b"")


def insertion_after(field: Field, new: bytes | Document) -> Change:
    """The change that puts ``new`` behind a field, in the same message."""
    return Change(field.parent, field.end, field.end, new)


def insertion_at_end(parent: Field, new: bytes | Document) -> Change:
    """The change that puts ``new`` at the end of a message."""
    return Change(parent, parent.end, parent.end, new)


def apply_changes(document: Document, changes: Iterable[Change]) -> Document:
    """Makes the changes and corrects the length of every message around them.

    Args:
        document: What they apply to; it stays as it is.
        changes: Ranges that don't overlap; insertions at one place keep their order.

    Returns:
        The changed document.

    Raises:
        FormatError: Two of the changes overlap.
    """
    wanted = list(changes)
    growth: dict[Field, int] = {}
    for change in wanted:
        if change.parent is not None:
            growth[change.parent] = growth.get(change.parent, 0) + _length(change.new) - (change.end - change.start)
    # A header may grow with what it encloses, and so may every header around it: innermost first.
    headers: list[Change] = []
    pending = set(growth)
    while pending:
        field = max(pending, key=_depth)
        pending.remove(field)
        grown = growth[field]
        if grown:
            header = wire.encode_header(field.number, field.end - field.value_start + grown)
            headers.append(Change(field.parent, field.start, field.value_start, header))
            grown += len(header) - (field.value_start - field.start)
        if field.parent is not None:
            growth[field.parent] = growth.get(field.parent, 0) + grown
            pending.add(field.parent)
    pieces: list[Piece] = []
    position = 0
    # At one place, what is inserted at the end of an inner message stands before what is inserted behind it, and both
    # before the range that begins there. Python's sort keeps the caller's order for the rest.
    for change in sorted(headers + wanted, key=lambda change: (change.start, change.end, -_depth(change))):
        if change.start < position:
            raise FormatError("two changes touch the same bytes", change.start)
        pieces.extend(document.slice(position, change.start))
        new = change.new
        pieces.extend(new.pieces if isinstance(new, Document) else Document.of_bytes(new).pieces)
        position = change.end
    pieces.extend(document.slice(position, document.size))
    return Document(pieces)


def _length(new: bytes | Document) -> int:
    return new.size if isinstance(new, Document) else len(new)


def _depth(inner: Field | Change) -> int:
    depth = 0
    parent = inner.parent
    while parent is not None:
        depth += 1
        parent = parent.parent
    return depth
