"""Files that hold values: .npy, .npz, .json and .csv become what they hold, any other file its bytes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from explorer.errors import FormatError, RequestError, printable_name, quoted
from explorer.savedmodel.records import read_whole

MOST_FILE_BYTES = 1 << 29
"""A file with more bytes is not read."""

_MOST_ARRAY_BYTES = 1 << 30


def file_values(path: Path) -> Any:
    """Reads a file of values.

    Args:
        path: The file; its ending says what it is, in any case of letters.

    Returns:
        An array for ``.npy``, a mapping from name to array for ``.npz``, a DataFrame for ``.csv``, lists, dicts and
        scalars for ``.json``, bytes for any other.

    Raises:
        RequestError: There is no such file, it is too large, or it isn't what its ending says.
        SourceError: The operating system doesn't let us read it.
    """
    path = path.expanduser()
    try:
        data = read_whole(str(path), MOST_FILE_BYTES, "a file of values")
    except FormatError as error:
        raise RequestError(str(error)) from None
    if data is None:
        raise RequestError(f"there is no file {quoted(str(path))}")
    read = {".npy": _arrays, ".npz": _arrays, ".json": _json, ".csv": _table}.get(path.suffix.lower())
    if read is None:
        return data
    try:
        return read(data)
    except RequestError as error:
        raise RequestError(f"{quoted(str(path))}: {error}") from None
    except (ValueError, OSError, EOFError, KeyError, MemoryError, RecursionError) as error:
        reason = printable_name(str(error).split("\n", 1)[0] or type(error).__name__)
        raise RequestError(f"{quoted(str(path))} can't be read as {path.suffix.lower()}: {reason}") from None


def _arrays(data: bytes) -> Any:
    import zipfile
    import zlib

    import numpy as np

    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size_bytes = sum(entry.file_size for entry in archive.infolist())
        if size_bytes > _MOST_ARRAY_BYTES:
            raise RequestError(f"its arrays have {size_bytes} bytes; at most {_MOST_ARRAY_BYTES} are read")
    try:
        loaded = np.load(io.BytesIO(data), allow_pickle=False)
        return dict(loaded) if hasattr(loaded, "files") else loaded
    except (zipfile.BadZipFile, zlib.error, SyntaxError) as error:
        raise ValueError(str(error)) from None


def _json(data: bytes) -> Any:
    import json

    return json.loads(data)


def _table(data: bytes) -> Any:
    import pandas as pd

    return pd.read_csv(io.BytesIO(data))
