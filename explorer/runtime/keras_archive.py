"""A ``.keras`` file: a zip archive with the configuration, the weights as HDF5, and the assets of layers.

The members are those of
https://github.com/keras-team/keras/blob/master/keras/src/saving/saving_lib.py; every other member, path and way of
compression is refused before Keras is given the archive, which unpacks some of it.
"""

from __future__ import annotations

import json
import shutil
import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from explorer.errors import FormatError, quoted
from explorer.runtime.keras_hdf5 import LARGEST_CONFIG

CONFIG: Final = "config.json"
METADATA: Final = "metadata.json"
WEIGHTS: Final = "model.weights.h5"
ASSETS: Final = "assets/"

_MOST_MEMBERS: Final = 20_000
_MOST_BYTES: Final = 64 << 30
_UNPACKED: Final = 64 << 20
_RATIO: Final = 200
_READABLE: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_FAULTS: Final = (
    zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError, KeyError,
    IndexError, OverflowError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Archive:
    """What a ``.keras`` file says of itself.

    Attributes:
        config: ``config.json``: the configuration of the model.
        metadata: ``metadata.json``: which Keras wrote it.
        assets: The names of the members below ``assets/``.
    """

    config: dict[str, Any]
    metadata: dict[str, Any]
    assets: tuple[str, ...]


def read_archive(path: Path, weights: Path) -> Archive:
    """Reads the small members of a ``.keras`` file and writes its weights into a file.

    Args:
        path: The archive.
        weights: Where the weights go.

    Raises:
        FormatError: The archive is damaged, or has something that no Keras writes.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _checked_members(archive, path.stat().st_size)
            if CONFIG not in members:
                raise FormatError(f"it has no {CONFIG}, so it isn't a .keras file")
            if WEIGHTS not in members:
                raise FormatError(f"its member {quoted(WEIGHTS)} is missing: it has an architecture and no weights")
            config = _object(archive, members[CONFIG])
            metadata = _object(archive, members[METADATA]) if METADATA in members else {}
            with archive.open(members[WEIGHTS]) as source, open(weights, "xb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
            return Archive(config, metadata, tuple(name for name in members if name.startswith(ASSETS)))
    except FormatError:
        raise
    except _FAULTS as error:
        raise FormatError(
            f"the .keras file is damaged or cut short: {quoted(str(error) or type(error).__name__)}"
        ) from None


def _checked_members(archive: zipfile.ZipFile, file_bytes: int) -> dict[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    if len(infos) > _MOST_MEMBERS:
        raise FormatError(f"the .keras file has more than {_MOST_MEMBERS} members")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = info.filename
        if name in members:
            raise FormatError(f"the .keras file has the member {quoted(name)} twice")
        # What zipfile read is not what it shows: it cuts a name at a NUL.
        if info.orig_filename != name or "\\" in name or name.startswith("/") or ".." in name.split("/"):
            raise FormatError(f"the .keras file has the member {quoted(info.orig_filename)}, a path out of its folder")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise FormatError(f"the member {quoted(name)} of the .keras file is a symbolic link")
        if info.flag_bits & 1:
            raise FormatError(f"the member {quoted(name)} of the .keras file is encrypted")
        if info.compress_type not in _READABLE:
            raise FormatError(f"the member {quoted(name)} is compressed in a way that Keras doesn't use")
        if name not in (CONFIG, METADATA, WEIGHTS) and not name.startswith(ASSETS):
            raise FormatError(f"the .keras file has the member {quoted(name)}, which no Keras writes")
        members[name] = info
    total = sum(info.file_size for info in infos)
    if total > min(_UNPACKED + _RATIO * file_bytes, _MOST_BYTES):
        raise FormatError(f"the .keras file would unpack to {total} bytes: it is made to fill the disk")
    return members


def _object(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> dict[str, Any]:
    if member.file_size > LARGEST_CONFIG:
        raise FormatError(f"its {quoted(member.filename)} has more than {LARGEST_CONFIG} bytes")
    return parse_object(archive.read(member), quoted(member.filename))


def parse_object(data: bytes | str, what: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        FormatError: It is none.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise FormatError(f"its {what} is no readable JSON") from None
    if not isinstance(found, dict):
        raise FormatError(f"its {what} is no JSON object")
    return found
