"""The C++ loader, which TensorFlow Serving uses, through the C API of the library in TensorFlow's wheel.

It runs what ``tf.compat.v1`` and ``tf.saved_model.load`` let pass and a server doesn't: a tensor that is fed twice, an
asset that is listed twice, a variable that nothing restores. Python's TensorFlow isn't imported for it.

The functions are those of
https://github.com/tensorflow/tensorflow/blob/v2.16.1/tensorflow/c/c_api.h, ``tf_tensor.h`` and ``tf_tstring.h``.
"""

from __future__ import annotations

import ctypes
import importlib.util
import math
from collections.abc import Iterable, Mapping, Sequence
from ctypes import POINTER, c_char_p, c_int, c_int64, c_size_t, c_void_p
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

from explorer.errors import HTTP_STATUSES
from explorer.savedmodel import constants
from explorer.savedmodel.tensors import Tensor
from explorer.savedmodel.wire import encode_field

_LIBRARIES = ("libtensorflow_cc.so.2", "libtensorflow_cc.2.dylib")
_TEXT_BYTES = 24
"""The size of a TF_TString."""

CODES = ("OK", *HTTP_STATUSES)
"""The names of TF_Code by number; ``absl::StatusCode`` numbers them in the same order."""

REMAPPER_OFF = encode_field(10, encode_field(10, encode_field(14, 2)))
"""A ConfigProto in which grappler doesn't fuse ops: ``graph_options.rewrite_options.remapping = OFF``."""


class _Buffer(ctypes.Structure):
    _fields_ = (("data", c_char_p), ("length", c_size_t), ("deallocator", c_void_p))


_FUNCTIONS: Mapping[str, tuple[Any, ...]] = {
    "TF_AllocateTensor": (c_void_p, c_int, c_void_p, c_int, c_size_t),
    "TF_CloseSession": (None, c_void_p, c_void_p),
    "TF_DeleteGraph": (None, c_void_p),
    "TF_DeleteSession": (None, c_void_p, c_void_p),
    "TF_DeleteSessionOptions": (None, c_void_p),
    "TF_DeleteStatus": (None, c_void_p),
    "TF_DeleteTensor": (None, c_void_p),
    "TF_Dim": (c_int64, c_void_p, c_int),
    "TF_GetCode": (c_int, c_void_p),
    "TF_LoadSessionFromSavedModel": (
        c_void_p, c_void_p, c_void_p, c_char_p, c_void_p, c_int, c_void_p, c_void_p, c_void_p,
    ),
    "TF_Message": (c_char_p, c_void_p),
    "TF_NewGraph": (c_void_p,),
    "TF_NewSessionOptions": (c_void_p,),
    "TF_NewStatus": (c_void_p,),
    "TF_NumDims": (c_int, c_void_p),
    "TF_Run": (
        None, c_void_p, c_void_p, c_void_p, c_void_p, c_int, c_void_p, c_void_p, c_int, c_void_p, c_int, c_void_p,
        c_void_p,
    ),
    "TF_SetConfig": (None, c_void_p, c_char_p, c_size_t, c_void_p),
    "TF_StringGetDataPointer": (c_void_p, c_void_p),
    "TF_StringGetSize": (c_size_t, c_void_p),
    "TF_TensorByteSize": (c_size_t, c_void_p),
    "TF_TensorData": (c_void_p, c_void_p),
    "TF_TensorFromProto": (None, POINTER(_Buffer), c_void_p, c_void_p),
    "TF_TensorType": (c_int, c_void_p),
}  # fmt: skip
"""Name → the type of its result and those of its arguments."""


class CApiError(RuntimeError):
    """The C API refused; the text is TensorFlow's own, bytes that aren't UTF-8 as ``surrogateescape`` leaves them.

    Attributes:
        code: The name of TensorFlow's status code; empty where it wasn't TensorFlow that refused.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


def find_library() -> Path | None:
    """The library with the C++ loader; None where this TensorFlow has none, or there is no TensorFlow."""
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent
    return next((folder / name for name in _LIBRARIES if (folder / name).is_file()), None)


class Session:
    """A SavedModel that the C++ loader has loaded: variables restored, initializers run.

    Use it in a ``with`` statement, which closes it, and from one thread at a time.

    Args:
        folder: The folder with ``saved_model.pb``.
        tags: The tag set of the meta graph.
        config: A serialized ``ConfigProto``.

    Raises:
        CApiError: The loader refuses the model, or there is no library.
    """

    def __init__(self, folder: Path, tags: Iterable[str], config: bytes = b"") -> None:
        self._library = _library()
        self._status: int | None = self._library.TF_NewStatus()
        self._graph: int | None = self._library.TF_NewGraph()
        self._session: int | None = None
        options = self._library.TF_NewSessionOptions()
        names = [tag.encode("utf-8", "surrogateescape") for tag in tags]
        path = str(folder).encode("utf-8", "surrogateescape")
        try:
            self._library.TF_SetConfig(options, config, len(config), self._status)
            self._check()
            self._session = self._library.TF_LoadSessionFromSavedModel(
                options, None, path, (c_char_p * len(names))(*names), len(names), self._graph, None, self._status
            )
            self._check()
        except BaseException:
            self.close()
            raise
        finally:
            self._library.TF_DeleteSessionOptions(options)

    def plan(self, feeds: Sequence[bytes], fetches: Sequence[bytes]) -> Plan:
        """Prepares runs that feed and fetch the same tensors.

        Args:
            feeds: Tensor names, as the model writes them.
            fetches: Tensor names.
        """
        return Plan(self, feeds, fetches)

    def run(self, feeds: Mapping[str, Tensor], fetches: Sequence[str]) -> list[Tensor]:
        """Runs the graph.

        Args:
            feeds: Tensor name → value.
            fetches: Tensor names.

        Returns:
            The values of the fetches, in their order.

        Raises:
            CApiError: A name isn't there, or TensorFlow refuses.
        """
        plan = self.plan([name.encode() for name in feeds], [name.encode() for name in fetches])
        fed: list[int] = []
        answers: list[int] = []
        try:
            for value in feeds.values():
                fed.append(make_tensor(value))
            answers = plan.run(fed)
            return [read_tensor(answer) for answer in answers]
        finally:
            delete_tensors(fed)
            delete_tensors(answers)

    def close(self) -> None:
        """Lets go of the model; a second time does nothing."""
        if self._session:
            self._library.TF_CloseSession(self._session, self._status)
            self._library.TF_DeleteSession(self._session, self._status)
        if self._graph:
            self._library.TF_DeleteGraph(self._graph)
            self._library.TF_DeleteStatus(self._status)
        self._session = self._graph = self._status = None

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self) -> None:
        _check(self._library, self._status)


class Plan:
    """Which tensors are fed and fetched: all of a run that can be prepared. :meth:`Session.plan` makes it."""

    def __init__(self, session: Session, feeds: Sequence[bytes], fetches: Sequence[bytes]) -> None:
        self._owner = session  # whose pointers these are
        self._library, self._session, self._status = session._library, session._session, session._status
        self._feeds, self._fetches = (c_char_p * len(feeds))(*feeds), (c_char_p * len(fetches))(*fetches)
        self._values, self._answers = (c_void_p * len(feeds))(), (c_void_p * len(fetches))()

    def run(self, values: Sequence[int]) -> list[int]:
        """Runs the graph.

        Args:
            values: The tensors to feed, which stay the caller's.

        Returns:
            The tensors fetched, now the caller's too.

        Raises:
            CApiError: A name isn't there, or TensorFlow refuses.
        """
        self._values[:] = [*values]
        # TF_SessionRun takes operations where TF_Run takes names. Names go to Session::Run as they are, as a server's
        # do, and come back in its sentences: those of tensors that the graph lacks, too. A TF_Session begins as a
        # TF_DeprecatedSession does, with the pointer to the session, which is all that the latter consists of:
        # https://github.com/tensorflow/tensorflow/blob/v2.16.1/tensorflow/c/c_api_internal.h
        self._library.TF_Run(
            self._session, None, self._feeds, self._values, len(self._feeds), self._fetches, self._answers,
            len(self._fetches), None, 0, None, self._status,
        )  # fmt: skip
        _check(self._library, self._status)
        return list(self._answers)


def allocate_tensor(dtype: int, shape: Sequence[int], size_bytes: int) -> int:
    """A new tensor whose elements are still to be written; not for texts.

    Raises:
        CApiError: There is no memory for it.
    """
    made: int | None = _library().TF_AllocateTensor(dtype, (c_int64 * len(shape))(*shape), len(shape), size_bytes)
    if not made:
        raise CApiError(f"no memory for a tensor of {size_bytes} bytes")
    return made


def make_texts(shape: Sequence[int], texts: Iterable[bytes]) -> int:
    """A new tensor of texts.

    It is made of a TensorProto, because then its texts live as long as TensorFlow keeps it, in a variable or a queue,
    and are freed with it; texts that are put into an allocated tensor are its maker's to free, whoever still has them.

    Raises:
        CApiError: TensorFlow refuses.
    """
    dims = b"".join(encode_field(2, encode_field(1, size)) for size in shape)
    message = b"".join(
        (encode_field(1, constants.DT_STRING), encode_field(2, dims), *(encode_field(8, text) for text in texts))
    )
    library = _library()
    status = library.TF_NewStatus()
    tensor = allocate_tensor(constants.DT_STRING, (0,), 0)
    try:
        library.TF_TensorFromProto(_Buffer(message, len(message), None), tensor, status)
        _check(library, status)
    except BaseException:
        library.TF_DeleteTensor(tensor)
        raise
    finally:
        library.TF_DeleteStatus(status)
    return tensor


def make_tensor(value: Tensor) -> int:
    """A new tensor with a value.

    Raises:
        CApiError: There is no memory for it.
    """
    if value.dtype == constants.DT_STRING:
        return make_texts(value.shape, value.texts)
    made = allocate_tensor(value.dtype, value.shape, len(value.data))
    if value.data:
        ctypes.memmove(_library().TF_TensorData(made), value.data, len(value.data))
    return made


def kind_of(tensor: int) -> tuple[int, tuple[int, ...]]:
    """The dtype number and the shape of a tensor."""
    library = _library()
    dims = range(library.TF_NumDims(tensor))
    return library.TF_TensorType(tensor), tuple(library.TF_Dim(tensor, axis) for axis in dims)


def view_of(tensor: int) -> memoryview:
    """The bytes of a tensor's elements, which can be read and written as long as the tensor lives."""
    library = _library()
    size = library.TF_TensorByteSize(tensor)
    if not size:
        return memoryview(b"")
    return memoryview((ctypes.c_ubyte * size).from_address(library.TF_TensorData(tensor))).cast("B")


def texts_of(tensor: int, count: int) -> list[bytes]:
    """The elements of a tensor of texts."""
    library = _library()
    first = library.TF_TensorData(tensor) if count else 0
    texts = []
    for place in range(first, first + count * _TEXT_BYTES, _TEXT_BYTES):
        size = library.TF_StringGetSize(place)
        texts.append(ctypes.string_at(library.TF_StringGetDataPointer(place), size) if size else b"")
    return texts


def read_tensor(tensor: int) -> Tensor:
    """The value of a tensor."""
    dtype, shape = kind_of(tensor)
    if dtype == constants.DT_STRING:
        return Tensor(dtype, shape, texts=tuple(texts_of(tensor, math.prod(shape))))
    return Tensor(dtype, shape, bytes(view_of(tensor)))


def delete_tensors(tensors: Iterable[int | None]) -> None:
    """Lets go of some tensors."""
    library = _library()
    for tensor in tensors:
        if tensor:
            library.TF_DeleteTensor(tensor)


def _check(library: ctypes.CDLL, status: int | None) -> None:
    code = library.TF_GetCode(status)
    if code != 0:
        message = library.TF_Message(status).decode("utf-8", "surrogateescape")
        raise CApiError(message, CODES[code] if 0 < code < len(CODES) else "UNKNOWN")


@cache
def _library() -> ctypes.CDLL:
    path = find_library()
    if path is None:
        raise CApiError("this TensorFlow comes without the library of the C++ loader")
    library = ctypes.CDLL(str(path))
    for name, (result, *arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
