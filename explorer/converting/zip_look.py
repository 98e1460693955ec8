"""What is in a zip archive: a ``.keras`` file, a SavedModel, what PyTorch or numpy write? Nothing is unpacked.

Of a ``.keras`` file (https://github.com/keras-team/keras/blob/master/keras/src/saving/saving_lib.py) the two small
JSON members are read, which say what wrote it and what class of model it is.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any, Final

from explorer.errors import ExplorerError, FormatError, quoted
from explorer.savedmodel import constants
from explorer.savedmodel.overlay import FileSource

MOST_MEMBERS: Final = 20_000
LARGEST_JSON: Final = 32 << 20
"""In bytes, unpacked; the configuration of a model with thousands of layers has a few mebibytes."""

METADATA: Final = "metadata.json"
CONFIG: Final = "config.json"

_LARGEST_DIRECTORY: Final = 4 << 20
_READABLE: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_FAULTS: Final = (
    zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError, KeyError,
    IndexError, OverflowError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ZipLook:
    """What a zip archive holds.

    Attributes:
        names: The names of its members.
        keras_version: What ``metadata.json`` of a ``.keras`` file says; empty where it says nothing.
        class_name: The class of the model in it: ``Sequential``, ``Functional`` or another; may be empty.
        module: The module that the class is of; may be empty.
        model_name: The name of the model; may be empty.
        is_keras: Whether it has the members of a ``.keras`` file.
        is_old_keras: Whether that was written by Keras 2.
        saved_models: The folders in it that hold a ``saved_model.pb``, the archive itself being ``.``.
    """

    names: tuple[str, ...]
    keras_version: str = ""
    class_name: str = ""
    module: str = ""
    model_name: str = ""
    is_keras: bool = False
    is_old_keras: bool = False
    saved_models: tuple[str, ...] = ()


def look_into_zip(source: FileSource) -> ZipLook:
    """Reads the directory of a zip archive, and of a ``.keras`` file the two members that say what it is.

    Args:
        source: The file.

    Raises:
        FormatError: The archive is damaged, or larger in some respect than any model is.
        SourceError: It can't be read.
    """
    try:
        with zipfile.ZipFile(_Bounded(source)) as archive:
            members = archive.infolist()
            if len(members) > MOST_MEMBERS:
                raise FormatError(f"the archive has more than {MOST_MEMBERS} members")
            names = tuple(member.filename for member in members)
            return _look(archive, names)
    except ExplorerError:
        raise
    except _FAULTS as error:
        raise FormatError(f"the zip archive is damaged: {str(error) or type(error).__name__}") from None


def _look(archive: zipfile.ZipFile, names: tuple[str, ...]) -> ZipLook:
    if CONFIG not in names or not ({METADATA, "model.weights.h5", "model.weights.json"} & set(names)):
        places = [name.removesuffix("/").rpartition("/") for name in names]
        folders = [place or "." for place, _, name in places if name in constants.MODEL_FILE_NAMES]
        return ZipLook(names, saved_models=tuple(dict.fromkeys(folders)))
    metadata = _json_member(archive, METADATA) if METADATA in names else {}
    config = _json_member(archive, CONFIG)
    inner = config.get("config")
    version = _text(metadata.get("keras_version"))
    return ZipLook(
        names,
        keras_version=version,
        class_name=_text(config.get("class_name")),
        module=_text(config.get("module")),
        model_name=_text(inner.get("name")) if isinstance(inner, dict) else "",
        is_keras=True,
        is_old_keras=_is_old(version, config),
    )


def _is_old(version: str, config: dict[str, Any]) -> bool:
    """Whether Keras 2 wrote it: by its version, else by the word for the shape of an input, which Keras 3 renamed."""
    major = version.partition(".")[0]
    if major.isascii() and major.isdigit() and len(major) < 5:
        return int(major) < 3
    pending: list[object] = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if "batch_input_shape" in value:
                return True
            if "batch_shape" in value:
                return False
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
    return False


def _json_member(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    member = archive.getinfo(name)
    if member.flag_bits & 1:
        raise FormatError(f"its {quoted(name)} is encrypted")
    if member.compress_type not in _READABLE:
        raise FormatError(f"its {quoted(name)} is compressed in a way that Keras doesn't use")
    with archive.open(member) as file:
        data = file.read(LARGEST_JSON + 1)
    if len(data) > LARGEST_JSON:
        raise FormatError(f"its {quoted(name)} has more than {LARGEST_JSON} bytes, which is not read")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise FormatError(f"its {quoted(name)} is no readable JSON") from None
    if not isinstance(found, dict):
        raise FormatError(f"its {quoted(name)} is no JSON object")
    return found


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


class _Bounded(io.RawIOBase):
    """A file for ``zipfile``, which would otherwise read a directory of any length at once."""

    def __init__(self, source: FileSource) -> None:
        super().__init__()
        self._source = source
        self._position = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._source.size}[whence]
        if start + offset < 0:
            raise FormatError("the zip archive is damaged: it points before its own beginning")
        self._position = start + offset
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        rest = max(self._source.size - self._position, 0)
        wanted = rest if size is None or size < 0 else min(size, rest)
        if wanted > _LARGEST_DIRECTORY:
            raise FormatError(f"the directory of the zip archive has more than {_LARGEST_DIRECTORY} bytes")
        data = self._source.read_at(self._position, wanted) if wanted else b""
        self._position += len(data)
        return data
