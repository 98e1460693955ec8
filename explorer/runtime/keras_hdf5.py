"""What is in an HDF5 file, and whether it may be given to Keras: for a child process, since h5py parses it in C.

An HDF5 file can send its reader to other files: external links, external raw data, virtual datasets, and filters that
are loaded as plugins (https://docs.hdfgroup.org/hdf5/latest/group___d_c_p_l.html). Nothing of that is followed; a file
that has any of it is refused, because Keras writes none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from explorer.errors import FormatError, quoted

MOST_OBJECTS: Final = 200_000
DEEPEST: Final = 64
LARGEST_CONFIG: Final = 64 << 20
"""In bytes."""

_MOST_ATTRIBUTES: Final = 10_000
_LARGEST_NAMES: Final = 16 << 20
_UNPACKED: Final = 64 << 20
_RATIO: Final = 200
_FILTERS: Final = {1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf"}
"""What HDF5 and h5py bring along; every other number would be looked for among plugins."""


@dataclass(frozen=True, slots=True)
class Array:
    """A dataset.

    Attributes:
        name: Its path in the file.
        dtype: Its type, as numpy calls it.
        shape: Its shape.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(slots=True)
class Contents:
    """What is in a file.

    Attributes:
        arrays: The datasets.
        texts: The attributes of the file that are text: ``model_config``, ``keras_version``, ``backend``.
        layer_names: The layers that the file has weights of, as Keras before version 3 writes them.
        weight_names: Layer → the names of its weights.
        groups: The groups, by their paths.
        named: Whether groups of variables have a ``name``, as Keras 3 gives them.
    """

    arrays: list[Array] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    layer_names: list[str] = field(default_factory=list)
    weight_names: dict[str, list[str]] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)
    named: bool = False


def read_contents(path: Path) -> Contents:
    """Walks an HDF5 file without following anything that leads out of it, and without reading any array.

    Raises:
        FormatError: The file is damaged, leads somewhere else, or is larger in some respect than any model is.
    """
    import h5py

    contents = Contents()
    try:
        with h5py.File(path, "r") as file:
            _walk(file, contents, path.stat().st_size)
            _read_texts(file, contents)
    except FormatError:
        raise
    # h5py lets the many kinds of errors of HDF5 out as whatever Python exception is next to them.
    except Exception as error:
        raise FormatError(f"the HDF5 file is damaged or cut short: {_words(error)}") from None
    return contents


def _words(error: Exception) -> str:
    text = str(error.args[0]) if error.args else type(error).__name__
    return quoted(" ".join(text.split())[:200])


def _walk(file: Any, contents: Contents, file_bytes: int) -> None:
    import h5py

    seen: set[Any] = set()
    pending: list[tuple[Any, str, int]] = [(file, "", 0)]
    count = total = 0
    while pending:
        group, path, depth = pending.pop()
        _check_attributes(group, path or "/")
        if depth > DEEPEST:
            raise FormatError(f"groups lie more than {DEEPEST} deep in one another, beginning with {quoted(path)}")
        for name in _names(group, path):
            count += 1
            if count > MOST_OBJECTS:
                raise FormatError(f"the file holds more than {MOST_OBJECTS} groups and datasets")
            place = f"{path}/{name}".lstrip("/")
            _check_link(group, name, place)
            item = group[name]
            if isinstance(item, h5py.Group):
                identity = h5py.h5o.get_info(item.id)
                if (key := (identity.fileno, identity.addr)) in seen:
                    raise FormatError(f"the group {quoted(place)} stands in the file twice, which Keras never writes")
                seen.add(key)
                contents.groups.add(place)
                pending.append((item, place, depth + 1))
            elif isinstance(item, h5py.Dataset):
                total += _check_dataset(item, place)
                _check_attributes(item, place)
                contents.arrays.append(Array(place, str(item.dtype), tuple(int(size) for size in item.shape or ())))
            else:
                raise FormatError(f"{quoted(place)} is neither a group nor a dataset, which Keras never writes")
    if total > _UNPACKED + _RATIO * file_bytes:
        raise FormatError(
            f"the datasets would have {total} bytes, out of a file of {file_bytes}: it is made to fill the memory"
        )


def _names(group: Any, path: str) -> Iterator[str]:
    if len(group) > MOST_OBJECTS:
        raise FormatError(f"the group {quoted(path or '/')} has more than {MOST_OBJECTS} members")
    for name in group:
        if not isinstance(name, str) or name in (".", ".."):
            raise FormatError(f"the group {quoted(path or '/')} has a member without a proper name")
        yield name


def _check_link(group: Any, name: str, place: str) -> None:
    import h5py

    link = group.get(name, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        raise FormatError(f"{quoted(place)} is a link to another file ({quoted(link.filename)}), which is not followed")
    if not isinstance(link, h5py.HardLink):
        raise FormatError(f"{quoted(place)} is a symbolic link, which Keras never writes and which is not followed")


def _check_dataset(dataset: Any, place: str) -> int:
    """Refuses a dataset whose data lie elsewhere; gives the bytes that reading it would take."""
    import h5py

    plan = dataset.id.get_create_plist()
    if plan.get_external_count():
        raise FormatError(f"the data of {quoted(place)} lie in another file, which is not read")
    if plan.get_layout() == h5py.h5d.VIRTUAL:
        raise FormatError(f"{quoted(place)} is a virtual dataset, put together from other files, which are not read")
    for position in range(plan.get_nfilters()):
        if (number := plan.get_filter(position)[0]) not in _FILTERS:
            raise FormatError(f"{quoted(place)} is compressed by the filter {number}, a plugin that isn't loaded")
    kind = dataset.id.get_type().get_class()
    if kind not in (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.STRING, h5py.h5t.ENUM):
        raise FormatError(f"{quoted(place)} holds neither numbers nor text, as every weight of Keras does")
    size = math.prod(int(length) for length in dataset.shape or ()) * int(dataset.dtype.itemsize)
    stored = int(dataset.id.get_storage_size())
    if size > _UNPACKED and size > _RATIO * max(stored, 1):
        raise FormatError(f"{quoted(place)} would have {size} bytes, of which the file holds {stored}")
    return size


def _check_attributes(item: Any, place: str) -> None:
    if len(item.attrs) > _MOST_ATTRIBUTES:
        raise FormatError(f"{quoted(place)} has more than {_MOST_ATTRIBUTES} attributes")


def _read_texts(file: Any, contents: Contents) -> None:
    """Reads the few attributes that say what the file is."""
    import h5py

    for name in ("model_config", "keras_version", "backend"):
        if (text := _text(file, name)) is not None:
            contents.texts[name] = text
    root = file["model_weights"] if "model_weights" in contents.groups else file
    for name in ("keras_version", "backend"):
        if name not in contents.texts and (text := _text(root, name)) is not None:
            contents.texts[name] = text
    prefix = "model_weights/" if root is not file else ""
    contents.layer_names = _text_list(root, "layer_names")
    for layer in contents.layer_names:
        if prefix + layer not in contents.groups:
            raise FormatError(f"the file names the layer {quoted(layer)} and has no weights of it")
        contents.weight_names[layer] = _text_list(file[prefix + layer], "weight_names")
    for group in contents.groups:
        if group.rpartition("/")[2] == "vars" and h5py.h5a.exists(file[group].id, b"name"):
            contents.named = True
            break


def _text(item: Any, name: str) -> str | None:
    import h5py

    if not h5py.h5a.exists(item.id, name.encode()):
        return None
    _check_size(item, name, LARGEST_CONFIG)
    value = item.attrs[name]
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if not isinstance(value, str) or len(value) > LARGEST_CONFIG:
        raise FormatError(f"the attribute {quoted(name)} is no text of a size that a model has")
    return value


def _text_list(item: Any, name: str) -> list[str]:
    """An attribute that is a list of texts; Keras cuts a long one into ``name0``, ``name1`` and so on."""
    import h5py

    every: list[str] = []
    parts = [name] if h5py.h5a.exists(item.id, name.encode()) else []
    while not parts or parts[0] != name:
        part = f"{name}{len(parts)}"
        if not h5py.h5a.exists(item.id, part.encode()) or len(parts) > _MOST_ATTRIBUTES:
            break
        parts.append(part)
    for part in parts:
        _check_size(item, part, _LARGEST_NAMES)
        for value in item.attrs[part]:
            if isinstance(value, bytes):
                every.append(value.decode("utf-8"))
            elif isinstance(value, str):
                every.append(value)
            else:
                raise FormatError(f"the attribute {quoted(part)} is no list of names")
    return every


def _check_size(item: Any, name: str, largest: int) -> None:
    import h5py

    attribute = h5py.h5a.open(item.id, name.encode())
    count = math.prod(attribute.shape or ())
    if not count:  # h5py takes a storage of 0 bytes for an error
        return
    if attribute.get_storage_size() > largest or count > largest:
        raise FormatError(f"the attribute {quoted(name)} has more than {largest} bytes")
    if attribute.get_type().get_class() != h5py.h5t.STRING:
        raise FormatError(f"the attribute {quoted(name)} is no text")
