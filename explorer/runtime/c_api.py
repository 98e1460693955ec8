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
from functools import cache
from pathlib import Path
from types import TracebackType

from explorer.savedmodel import constants
from explorer.savedmodel.graph import split_tensor_name
from explorer.savedmodel.tensors import Tensor
from explorer.savedmodel.wire import encode_field

_LIBRARIES = ("libtensorflow_cc.so.2", "libtensorflow_cc.2.dylib")
_TEXT_BYTES = 24
"""The size of a TF_TString."""

_POINTER = ctypes.c_void_p
_RESULTS = {
    "TF_AllocateTensor": _POINTER,
    "TF_Dim": ctypes.c_int64,
    "TF_GraphOperationByName": _POINTER,
    "TF_LoadSessionFromSavedModel": _POINTER,
    "TF_Message": ctypes.c_char_p,
    "TF_NewGraph": _POINTER,
    "TF_NewSessionOptions": _POINTER,
    "TF_NewStatus": _POINTER,
    "TF_StringGetDataPointer": _POINTER,
    "TF_StringGetSize": ctypes.c_size_t,
    "TF_TensorByteSize": ctypes.c_size_t,
    "TF_TensorData": _POINTER,
}

REMAPPER_OFF = encode_field(10, encode_field(10, encode_field(14, 2)))
"""A ConfigProto in which grappler doesn't fuse ops: ``graph_options.rewrite_options.remapping = OFF``."""


class CApiError(RuntimeError):
    """The C API refused; the text is TensorFlow's own."""


class _Output(ctypes.Structure):
    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


def find_library() -> Path | None:
    """The library with the C++ loader; None where this TensorFlow has none, or there is no TensorFlow."""
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent
    return next((folder / name for name in _LIBRARIES if (folder / name).is_file()), None)


class Session:
    """A SavedModel that the C++ loader has loaded: variables restored, initializers run.

    Use it in a ``with`` statement, which closes it.

    Args:
        folder: The folder with ``saved_model.pb``.
        tags: The tag set of the meta graph.
        config: A serialized ``ConfigProto``.

    Raises:
        CApiError: The loader refuses the model, or there is no library.
    """

    def __init__(self, folder: Path, tags: Iterable[str], config: bytes = b"") -> None:
        self._library = _library()
        self._status = _POINTER(self._library.TF_NewStatus())
        self._graph = _POINTER(self._library.TF_NewGraph())
        self._session = _POINTER()
        options = _POINTER(self._library.TF_NewSessionOptions())
        names = [tag.encode() for tag in tags]
        try:
            self._library.TF_SetConfig(options, config, ctypes.c_size_t(len(config)), self._status)
            self._check()
            self._session = _POINTER(
                self._library.TF_LoadSessionFromSavedModel(
                    options, None, str(folder).encode(), (ctypes.c_char_p * len(names))(*names), len(names),
                    self._graph, None, self._status,
                )
            )  # fmt: skip
            self._check()
        except BaseException:
            self.close()
            raise
        finally:
            self._library.TF_DeleteSessionOptions(options)

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
        targets = (_Output * len(fetches))(*(self._output(name) for name in fetches))
        places = (_Output * len(feeds))(*(self._output(name) for name in feeds))
        values = (_POINTER * len(feeds))()
        answers = (_POINTER * len(fetches))()
        try:
            for position, value in enumerate(feeds.values()):
                values[position] = self._made(value)
            self._library.TF_SessionRun(
                self._session, None, places, values, len(feeds), targets, answers, len(fetches),
                None, 0, None, self._status,
            )  # fmt: skip
            self._check()
            return [self._read(_POINTER(answer)) for answer in answers]
        finally:
            for value, pointer in zip(feeds.values(), values, strict=True):
                self._delete(value, pointer)
            for pointer in answers:
                if pointer:
                    self._library.TF_DeleteTensor(_POINTER(pointer))

    def close(self) -> None:
        """Lets go of the model; a second time does nothing."""
        if self._session.value:
            self._library.TF_CloseSession(self._session, self._status)
            self._library.TF_DeleteSession(self._session, self._status)
        if self._graph.value:
            self._library.TF_DeleteGraph(self._graph)
            self._library.TF_DeleteStatus(self._status)
        self._session = self._graph = _POINTER()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self) -> None:
        if self._library.TF_GetCode(self._status) != 0:
            raise CApiError(self._library.TF_Message(self._status).decode("utf-8", "replace"))

    def _output(self, tensor_name: str) -> _Output:
        node, index = split_tensor_name(tensor_name)
        operation = self._library.TF_GraphOperationByName(self._graph, node.encode())
        if not operation:
            raise CApiError(f"the loaded graph has no node '{node}'")
        # An index beyond the outputs isn't refused by TF_SessionRun; it is looked up.
        if (index or 0) >= self._library.TF_OperationNumOutputs(_POINTER(operation)):
            raise CApiError(f"node '{node}' of the loaded graph has no output {index or 0}")
        return _Output(operation, index or 0)

    def _made(self, value: Tensor) -> int:
        count = math.prod(value.shape)
        is_text = value.dtype == constants.DT_STRING
        size = count * _TEXT_BYTES if is_text else len(value.data)
        dims = (ctypes.c_int64 * len(value.shape))(*value.shape)
        made: int | None = self._library.TF_AllocateTensor(value.dtype, dims, len(value.shape), ctypes.c_size_t(size))
        if not made:
            raise CApiError(f"no memory for a tensor of {size} bytes")
        data = self._library.TF_TensorData(_POINTER(made))
        if not is_text:
            ctypes.memmove(data, value.data, size)
            return made
        for position, text in enumerate(value.texts):
            place = _POINTER(data + position * _TEXT_BYTES)
            self._library.TF_StringInit(place)
            self._library.TF_StringCopy(place, text, ctypes.c_size_t(len(text)))
        return made

    def _delete(self, value: Tensor, pointer: int | None) -> None:
        if not pointer:
            return
        if value.dtype == constants.DT_STRING:  # the tensor frees its memory, not what its texts point to
            data = self._library.TF_TensorData(_POINTER(pointer))
            for position in range(len(value.texts)):
                self._library.TF_StringDealloc(_POINTER(data + position * _TEXT_BYTES))
        self._library.TF_DeleteTensor(_POINTER(pointer))

    def _read(self, tensor: ctypes.c_void_p) -> Tensor:
        dtype = self._library.TF_TensorType(tensor)
        shape = tuple(self._library.TF_Dim(tensor, axis) for axis in range(self._library.TF_NumDims(tensor)))
        data = self._library.TF_TensorData(tensor)
        if dtype != constants.DT_STRING:
            size = self._library.TF_TensorByteSize(tensor)
            return Tensor(dtype, shape, ctypes.string_at(data, size) if size else b"")
        texts = []
        for position in range(math.prod(shape)):
            place = _POINTER(data + position * _TEXT_BYTES)
            size = self._library.TF_StringGetSize(place)
            texts.append(ctypes.string_at(self._library.TF_StringGetDataPointer(place), size) if size else b"")
        return Tensor(dtype, shape, texts=tuple(texts))


@cache
def _library() -> ctypes.CDLL:
    path = find_library()
    if path is None:
        raise CApiError("this TensorFlow comes without the library of the C++ loader")
    library = ctypes.CDLL(str(path))
    for name, kind in _RESULTS.items():
        getattr(library, name).restype = kind
    return library
