"""Finds tensors of a checkpoint that are stored more than once, byte for byte, and where one copy would do.

The export of Keras 3 writes every variable under two keys, with two copies of its bytes. The index of a checkpoint may
let two keys point at one place, so the second copy can go and no key with it. Nothing is written here: the result is a
plan, which also tells how much it would save.
"""

from __future__ import annotations

import functools
import itertools
import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from explorer.errors import SourceError, quoted
from explorer.savedmodel import wire
from explorer.savedmodel.checkpoint_index import Variable, read_index
from explorer.savedmodel.constants import DT_RESOURCE, DT_STRING, DT_VARIANT, VARIABLES_FOLDER, VARIABLES_INDEX
from explorer.savedmodel.overlay import Document, FileSource
from explorer.savedmodel.table import read_table
from explorer.savedmodel.table_writer import write_table
from explorer.savedmodel.variables import LARGEST_INDEX_BYTES, read_variables, stored_twice
from explorer.savedmodel.wire import LENGTH, VARINT, Field, Readable

CHUNK_BYTES: Final = 1 << 20
"""How much of a tensor is in memory at once while it is compared or copied."""

# Fields of a BundleEntryProto.
_SHARD, _OFFSET, _SIZE, _SLICES = 3, 4, 5, 7
_NOT_PLAIN = frozenset({DT_STRING, DT_RESOURCE, DT_VARIANT})
_MOST_DIFFERENT = 8  # contents compared per checksum; more than one is a collision, which nobody meets by chance
_MOST_OPEN = 32


class Place(NamedTuple):
    """Where the bytes of a tensor are: the number of the data file, the first byte there, and how many."""

    shard: int
    offset: int
    size_bytes: int


@dataclass(frozen=True)
class DuplicatePlan:
    """Which copies can go from the data files of a checkpoint.

    Attributes:
        num_tensors: How many variables the checkpoint has.
        names: Those whose own copy can go, in the order of the index.
        moves: The place of each copy that can go → the place with the same bytes that stays.
    """

    num_tensors: int = 0
    names: tuple[str, ...] = ()
    moves: Mapping[Place, Place] = field(default_factory=dict)

    @property
    def surplus_bytes(self) -> int:
        """How much smaller the data files would be."""
        return sum(place.size_bytes for place in self.moves)

    @functools.cached_property
    def cuts(self) -> Mapping[int, tuple[Place, ...]]:
        """Number of a data file → the places in it that can go, in its order; they don't overlap."""
        cuts: dict[int, tuple[Place, ...]] = {}
        for shard, places in itertools.groupby(sorted(self.moves), key=lambda place: place.shard):
            cuts[shard] = tuple(places)
        return cuts


def find_duplicates(folder: str | os.PathLike[str], report: Callable[[int], None] = lambda _: None) -> DuplicatePlan:
    """Finds out which tensors of a SavedModel's checkpoint are stored more than once.

    Tensors with one dtype, shape, size and checksum are read and compared byte by byte. Partitioned variables, texts
    and TensorFlow's own bookkeeping are left alone.

    Args:
        folder: The folder of the SavedModel, the one that holds ``variables/``.
        report: Is told after each piece how many bytes of it were compared; what it raises ends the search.

    Returns:
        What can go; nothing for a model without variables.

    Raises:
        FormatError: ``variables.index`` is damaged.
        SourceError: A file cannot be read, or the values are not all there: a Git LFS pointer, a missing data file, a
            checkpoint in the V1 format.
    """
    folder = os.fspath(folder)
    num_shards = expect_whole(folder)
    if num_shards == 0:
        return DuplicatePlan()

    @functools.lru_cache(maxsize=_MOST_OPEN)
    def open_shard(shard: int) -> Readable:
        return FileSource(os.path.join(folder, VARIABLES_FOLDER, data_file_name(shard, num_shards)))

    index = FileSource(os.path.join(folder, *VARIABLES_INDEX.split("/"))).read_at(0, LARGEST_INDEX_BYTES)
    return plan_duplicates(index, open_shard, report)


def expect_whole(folder: str | os.PathLike[str]) -> int:
    """The number of data files of a checkpoint that is all there; 0 where the model has no variables.

    Raises:
        FormatError: ``variables.index`` is damaged.
        SourceError: It isn't all there, or cannot be read; the sentence says why.
    """
    variables = read_variables(folder)
    if variables.status == "none":
        return 0
    if variables.status != "ok":
        raise SourceError(
            f"copies of variables can't be looked for in {quoted(os.fspath(folder))}: {variables.note}", folder
        )
    return variables.num_shards


def data_file_name(shard: int, num_shards: int) -> str:
    """The name of a data file in ``variables/``."""
    return f"variables.data-{shard:05d}-of-{num_shards:05d}"


def plan_duplicates(
    index: bytes, open_shard: Callable[[int], Readable], report: Callable[[int], None]
) -> DuplicatePlan:
    """The plan for an index whose data files are all there.

    Args:
        index: The whole of ``variables.index``.
        open_shard: Gives the content of a data file by its number.
        report: Is told after each piece how many bytes of it were compared.

    Raises:
        FormatError: The index is damaged.
        SourceError: A data file cannot be read.
    """
    variables = read_index(index).variables
    groups = _candidates(variables, _tangled(place for _, place in _places(index) if place.size_bytes))
    # One place may bear entries of two dtypes and so stand in two groups, which are one group then.
    stays: dict[Place, Place] = {}
    for group in groups:
        for same in _equal_places(group, open_shard, report):
            firsts = {_first(stays, place) for place in same}
            stays.update(dict.fromkeys(firsts, min(firsts)))
    moves = {place: first for place in stays if (first := _first(stays, place)) != place}
    names = tuple(variable.name for variable in variables if _place_of(variable) in moves)
    return DuplicatePlan(len(variables), names, moves)


def _first(stays: Mapping[Place, Place], place: Place) -> Place:
    """The first place with the same bytes, as far as that is known."""
    while stays.get(place, place) != place:
        place = stays[place]
    return place


def _places(index: bytes) -> Iterator[tuple[bytes, Place]]:
    """The entries that have a place of their own; a partitioned variable has none, its slices do."""
    for key, value in read_table(index):
        if key:
            numbers, is_partitioned, _ = _entry(value)
            if not is_partitioned:
                yield key, Place(*numbers)


def _entry(value: bytes) -> tuple[tuple[int, int, int], bool, list[Field]]:
    """Shard, offset and size of a BundleEntryProto, whether it is partitioned, and its fields."""
    document = Document.of_bytes(value)
    fields = list(wire.scan(document))
    numbers = {part.number: wire.signed(wire.number(document, part)) for part in fields if part.wire_type == VARINT}
    is_partitioned = any((part.number, part.wire_type) == (_SLICES, LENGTH) for part in fields)
    return (numbers.get(_SHARD, 0), numbers.get(_OFFSET, 0), numbers.get(_SIZE, 0)), is_partitioned, fields


def _tangled(places: Iterable[Place]) -> set[Place]:
    """The places that share bytes with another one without being the same.

    No writer makes such; they stay as they are, so that no byte is compared or cut out more than once.
    """
    tangled: set[Place] = set()
    reach: Place | None = None  # of the places so far in this file, the one that ends last
    for place in sorted(set(places)):
        if reach is not None and place.shard == reach.shard and place.offset < reach.offset + reach.size_bytes:
            tangled |= {place, reach}
        if reach is None or (place.shard, place.offset + place.size_bytes) >= (
            reach.shard,
            reach.offset + reach.size_bytes,
        ):
            reach = place
    return tangled


def _candidates(variables: tuple[Variable, ...], tangled: set[Place]) -> list[list[Place]]:
    """Groups of two or more places that hold the same by dtype, shape, size and checksum, first place first."""
    times = Counter(variable.name for variable in variables)  # two names that aren't UTF-8 may be written alike
    by_name = {variable.name: variable for variable in variables if times[variable.name] == 1}
    groups = []
    for twice in stored_twice(variable for variable in variables if variable.dtype_number not in _NOT_PLAIN):
        places = {_place_of(by_name[name]) for name in twice.names if name in by_name}
        group = sorted(place for place in places if place is not None and place not in tangled)
        if len(group) > 1:
            groups.append(group)
    return groups


def _place_of(variable: Variable) -> Place | None:
    if variable.shard is None or variable.offset is None:
        return None
    return Place(variable.shard, variable.offset, variable.size_bytes)


def _equal_places(
    places: list[Place], open_shard: Callable[[int], Readable], report: Callable[[int], None]
) -> list[list[Place]]:
    """The places sorted by what their bytes are."""
    different: list[list[Place]] = []
    for place in places:
        for same in different:
            if _is_equal(same[0], place, open_shard, report):
                same.append(place)
                break
        else:
            if len(different) < _MOST_DIFFERENT:
                different.append([place])
    return different


def _is_equal(
    first: Place, second: Place, open_shard: Callable[[int], Readable], report: Callable[[int], None]
) -> bool:
    one, other = open_shard(first.shard), open_shard(second.shard)
    for at in range(0, first.size_bytes, CHUNK_BYTES):
        length = min(CHUNK_BYTES, first.size_bytes - at)
        chunk = one.read_at(first.offset + at, length)
        if len(chunk) != length:
            raise SourceError("a data file of the variables became shorter while it was read; try again")
        if chunk != other.read_at(second.offset + at, length):
            return False
        report(length)
    return True


def moved_index(index: bytes, plan: DuplicatePlan) -> bytes:
    """The index that fits the data files without the copies: every key stays, and all of an entry but its place.

    Args:
        index: The whole of ``variables.index``.
        plan: What goes from the data files.

    Raises:
        FormatError: The index is damaged.
    """
    cuts = {shard: _Cuts(places) for shard, places in plan.cuts.items()}

    def moved(key: bytes, value: bytes) -> bytes:
        if not key:  # the header
            return value
        numbers, is_partitioned, fields = _entry(value)
        if is_partitioned:
            return value
        place = Place(*numbers)
        stays = plan.moves.get(place, place)
        offset = stays.offset - (cuts[stays.shard].before(stays.offset) if stays.shard in cuts else 0)
        if (stays.shard, offset) == (place.shard, place.offset):
            return value
        return _with_place(value, fields, stays.shard, offset)

    return write_table((key, moved(key, value)) for key, value in read_table(index))


class _Cuts:
    """The bytes that go from one data file, added up."""

    def __init__(self, places: tuple[Place, ...]) -> None:
        self._starts = [place.offset for place in places]
        self._sums = [0]
        for place in places:
            self._sums.append(self._sums[-1] + place.size_bytes)

    def before(self, offset: int) -> int:
        """How many of them lie before an offset."""
        index = bisect_left(self._starts, offset)
        if not index:
            return 0
        last = self._sums[index] - self._sums[index - 1]
        return self._sums[index - 1] + min(last, offset - self._starts[index - 1])


def _with_place(value: bytes, fields: list[Field], shard: int, offset: int) -> bytes:
    """A BundleEntryProto with another place, in the order of TensorFlow's writer, which leaves zeros out."""
    places = (_SHARD, _OFFSET)
    kept = [part for part in fields if part.number not in places or part.wire_type != VARINT]
    new = b"".join(wire.encode_field(number, at) for number, at in zip(places, (shard, offset), strict=True) if at)
    before = b"".join(value[part.start : part.end] for part in kept if part.number < _SHARD)
    after = b"".join(value[part.start : part.end] for part in kept if part.number >= _SHARD)
    return before + new + after


def kept_ranges(plan: DuplicatePlan, shard: int, size_bytes: int) -> Iterator[tuple[int, int]]:
    """The ranges of a data file that stay, as start and end, in its order."""
    position = 0
    for place in plan.cuts.get(shard, ()):
        if position < place.offset:
            yield position, place.offset
        position = place.offset + place.size_bytes
    if position < size_bytes:
        yield position, size_bytes
