"""Predict bodies as TensorFlow Serving reads them: JSON → tensors, or the server's error.

``FillPredictRequestFromJson`` in ``json_tensor.cc`` of https://github.com/tensorflow/serving. The server looks the
model up between the JSON and the inputs, so reading is in two steps: :func:`begin_predict`, then
:meth:`PredictBody.inputs`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from explorer.errors import RequestError, quoted
from explorer.savedmodel import constants
from explorer.savedmodel.model import DType, Signature, TensorInfo, frozen
from explorer.savedmodel.tensors import NUMPY_NAMES, Tensor
from explorer.serving.json_requests import json_object, signature_name
from explorer.serving.json_tensor import DeclinedError
from explorer.serving.json_values import JsonObject, bytes_of, invalid, text_of
from explorer.serving.number_block import BlockReader
from explorer.serving.predict_inputs import Format, read_inputs
from explorer.serving.rapidjson import parse_json
from explorer.serving.tensor_protos import MOST_DIMS, is_tensor_dtype, parsing_error

if TYPE_CHECKING:
    import numpy as np

Inputs = Signature | Mapping[str, "TensorInfo | Mapping[str, Any]"]
"""What says which inputs there are: a signature, or input key → TensorInfo or ``{"dtype": "DT_FLOAT"}``."""

_LARGE_BODY: Final = 4096


@dataclass(frozen=True, slots=True)
class ParsedInput:
    """One input of a request.

    Attributes:
        key: The input key.
        tensor: Its value; the rank may be larger than TensorFlow's or numpy's largest.
    """

    key: str
    tensor: Tensor

    @property
    def dtype(self) -> DType:
        """The dtype that the signature declares for it."""
        return DType(self.tensor.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """Its dimensions."""
        return self.tensor.shape

    @property
    def values(self) -> tuple[Any, ...]:
        """Its elements in row-major order: numbers, ``bool`` or ``bytes``."""
        return self.tensor.texts or tuple(_flat(self.tensor).tolist())

    def to_numpy(self) -> np.ndarray[Any, Any]:
        """Its value as numpy holds it: texts as ``bytes`` in an array of objects.

        An empty tensor of a dtype that numpy doesn't have comes as ``uint8``.

        Raises:
            RequestError: It has more dimensions than numpy takes.
        """
        import numpy as np

        if self.tensor.dtype == constants.DT_STRING:
            flat = np.empty(len(self.tensor.texts), dtype=object)
            flat[:] = self.tensor.texts
        else:
            flat = _flat(self.tensor)
        try:
            return flat.reshape(self.shape)
        except ValueError:
            raise RequestError(
                f"input {quoted(self.key)} has {len(self.shape)} dimensions, and numpy holds at most 64 (32 before "
                "numpy 2): use its flat values"
            ) from None

    def check_tensor(self) -> None:
        """Checks what TensorFlow checks when it makes a tensor of it, after all inputs were read.

        Raises:
            RequestError: It has more dimensions than a tensor can have, or a dtype that no tensor has: an empty one may
                have been read as a reference, say.
        """
        if len(self.shape) > MOST_DIMS or not is_tensor_dtype(self.tensor.dtype):
            raise parsing_error(self.key)


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A predict request.

    Attributes:
        format: ``"row"`` for ``instances``, ``"columnar"`` for ``inputs``.
        signature_name: The signature that it asks for; empty where it doesn't say.
        inputs: Input key → value.
    """

    format: Format
    signature_name: str
    inputs: Mapping[str, ParsedInput]


@dataclass(frozen=True, slots=True)
class PredictBody:
    """A body that is JSON, before its inputs are looked at.

    Attributes:
        signature_name: The signature that it asks for; empty where it doesn't say.
        body: The bytes.
        document: The JSON; large arrays may be blocks.
    """

    signature_name: str
    body: bytes = field(repr=False)
    document: JsonObject = field(repr=False)

    def inputs(self, signature: Inputs) -> ParsedRequest:
        """Reads the inputs.

        Args:
            signature: Which inputs there are, with their dtypes; shapes aren't looked at, as by the server.

        Raises:
            RequestError: The server refuses them.
        """
        dtypes = _dtypes(signature)
        if not dtypes:
            raise invalid(f"Failed to get input map for signature: {self.signature_name or 'DEFAULT'}")
        try:
            form, tensors = read_inputs(self.document, dtypes)
        except (RequestError, DeclinedError):
            if len(self.body) < _LARGE_BODY:
                raise
            # With every number read by itself: the error quotes them, or a block didn't fit where it stood.
            form, tensors = read_inputs(_document(self.body, exactly=True), dtypes)
        return ParsedRequest(
            form,
            self.signature_name,
            frozen({text_of(key): ParsedInput(text_of(key), tensors[key]) for key in tensors}),
        )


def parse_request(body: bytes | str, signature: Inputs) -> ParsedRequest:
    """Reads a predict body as TensorFlow Serving's REST API does.

    Args:
        body: The JSON, as it is sent.
        signature: The signature that it is for, or input key → TensorInfo or ``{"dtype": "DT_FLOAT"}``. Declared shapes
            count for nothing: the server doesn't compare them.

    Returns:
        The tensors.

    Raises:
        RequestError: The server refuses it; ``str()`` of the error is its sentence, ``.status`` the HTTP status.
        FormatError: A dtype of ``signature`` has no such name.
    """
    return begin_predict(body).inputs(signature)


def begin_predict(body: bytes | str) -> PredictBody:
    """Reads the JSON of a predict body and which signature it asks for.

    Raises:
        RequestError: It is no JSON object, or the name of the signature is no string.
    """
    data = bytes_of(body) if isinstance(body, str) else bytes(body)
    document = _document(data, exactly=len(data) < _LARGE_BODY)
    try:
        name = signature_name(document)
    except RequestError:
        name = signature_name(_document(data, exactly=True))  # the sentence quotes the body without blocks
    return PredictBody(name, data, document)


def _document(body: bytes, exactly: bool) -> JsonObject:
    return json_object(body, parse_json(body, None if exactly else BlockReader().read))


def _dtypes(signature: Inputs) -> dict[bytes, int]:
    given = signature.inputs if isinstance(signature, Signature) else signature
    return {bytes_of(key): _dtype(info) for key, info in given.items()}


def _dtype(info: TensorInfo | Mapping[str, Any]) -> int:
    if isinstance(info, TensorInfo):
        return info.dtype.number
    dtype = info["dtype"]
    return dtype.number if isinstance(dtype, DType) else DType.from_name(str(dtype)).number


def _flat(tensor: Tensor) -> np.ndarray[Any, Any]:
    import numpy as np

    if not tensor.data and tensor.dtype not in NUMPY_NAMES:
        return np.empty(0, dtype="u1")  # only empty tensors can have a dtype that the server reads no values of
    return Tensor(tensor.dtype, (math.prod(tensor.shape),), tensor.data).to_array()
