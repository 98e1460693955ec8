"""Values that somebody gave, in whatever form, as a tensor for each input: lists, arrays, tables, files, images."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.errors import RequestError, listed, quoted
from explorer.savedmodel import constants
from explorer.savedmodel.model import MetaGraph, Signature, TensorInfo
from explorer.savedmodel.tensors import Tensor
from explorer.serving.arrays import tensor_of
from explorer.serving.example_values import example_values
from explorer.serving.images import image_value, takes_pixels
from explorer.serving.value_files import file_values
from explorer.serving.values import MOST_RANK, check_feedable, filled_shape, read_value

if TYPE_CHECKING:
    from explorer.savedmodel.feature_spec import Feature

Specs = Mapping[str, Mapping[str, "Feature"]]

_LISTED_FORMS = "a mapping from input key to value, a DataFrame, or the path of a file"


@dataclass(frozen=True, slots=True)
class GivenValues:
    """What was made of given values.

    Attributes:
        tensors: Input key → tensor, for every input of the signature.
        notes: What was done to get there, a sentence each: how an image became pixels, which inputs got examples.
        given: The keys of the inputs that something was given for.
    """

    tensors: Mapping[str, Tensor]
    notes: tuple[str, ...] = ()
    given: frozenset[str] = frozenset()


def given_values(
    signature: Signature, values: Any, *, meta_graph: MetaGraph | None = None, scale: str | None = None
) -> dict[str, Tensor]:
    """Turns given values into tensors; arguments and errors as for :func:`read_given`, zeros where nothing is given."""
    return dict(read_given(signature, values, meta_graph=meta_graph, scale=scale).tensors)


def read_given(
    signature: Signature,
    values: Any,
    *,
    kind: str = "zeros",
    batch: int | None = None,
    seed: int = 0,
    meta_graph: MetaGraph | None = None,
    scale: str | None = None,
) -> GivenValues:
    """Turns given values into tensors, and fills the inputs that nothing was given for.

    Args:
        signature: The signature.
        values: Input key → scalar, nested lists, numpy array, bytes, path of a file, :class:`Tensor`; for an input of
            images also the bytes of an image file, for one of tf.Examples also a mapping from feature name to value, or
            a list of such. Or a DataFrame, whose columns are the inputs (or the features of the one input that is
            parsed; or all the columns of one input's matrix) and whose rows are the batch. Or the path of a ``.json``,
            ``.csv``, ``.npy``, ``.npz``, text or image file. Of a signature with one input also its bytes or array
            alone. None gives nothing.
        kind: What the inputs get that nothing was given for: ``"zeros"``, ``"ones"`` or ``"random"``.
        batch: Their batch; None takes that of the given ones, or 1.
        seed: The same seed gives the same random values.
        meta_graph: Where the signature stands: what its graph parses are tf.Examples; None has texts only.
        scale: What pixels become, see :func:`~explorer.serving.images.image_value`.

    Raises:
        NotFoundError: There is no such input or feature.
        RequestError: A value doesn't fit, or a file can't be read; the sentence says where.
    """
    specs = _specs(meta_graph, signature)
    notes: list[str] = []
    named = {} if values is None else named_values(signature, values, specs, scale=scale, notes=notes)
    given: dict[str, Tensor] = {}
    for key, value in named.items():
        info = signature.input(key)
        if isinstance(value, Tensor):
            given[key] = _checked(key, value, info, signature)
            continue
        check_feedable(key, info, _where(signature))
        nested, shape = read_value(key, value, info, _where(signature))
        given[key] = tensor_of(nested, shape, info.dtype.base.number)
    if batch is None:
        batches = {tensor.shape[0] for tensor in given.values() if tensor.shape}
        batch = batches.pop() if len(batches) == 1 else 1
    missing = {key: info for key, info in signature.inputs.items() if key not in given}
    rest = Signature(signature.key, missing, signature.outputs, signature.method_name)
    examples = example_values(rest, kind, batch=batch, seed=seed, meta_graph=meta_graph) if missing else {}
    if missing and given:
        notes.append(f"nothing was given for {listed(missing)}: {kind}")
    tensors = {key: given[key] if key in given else examples[key] for key in signature.inputs}
    return GivenValues(tensors, tuple(notes), frozenset(given))


def named_values(
    signature: Signature,
    values: Any,
    specs: Specs | None = None,
    *,
    scale: str | None = None,
    notes: list[str] | None = None,
) -> dict[str, Any]:
    """Finds out which input each of the given values is for.

    Args:
        signature: The signature.
        values: As for :func:`read_given`.
        specs: Input key → the features that are parsed from it.
        scale: What pixels become.
        notes: Where sentences about what was done go.

    Returns:
        Input key → what :func:`~explorer.serving.values.read_value` takes, or a tensor.

    Raises:
        NotFoundError: There is no such input or feature.
        RequestError: The values can't be told apart.
    """
    specs, notes = specs or {}, [] if notes is None else notes
    if isinstance(values, str | Path):
        values = _from_file(signature, file_values(Path(values)), specs)
    if _is_frame(values):
        values = _from_frame(signature, values, specs)
    if not isinstance(values, Mapping):
        if not isinstance(values, bytes | _Alone | Tensor) and not hasattr(values, "__array__"):
            raise RequestError(f"the values must be {_LISTED_FORMS}")
        only = values.value if isinstance(values, _Alone) else values
        values = {_only_input(signature): _Alone(only) if isinstance(only, bytes) else only}
    for key in values:
        if not isinstance(key, str):
            raise RequestError(f"an input key is text, and the values have one that is a {type(key).__name__}")
    return {
        key: _one_value(value, signature.input(key), specs.get(key), scale, notes, key) for key, value in values.items()
    }


@dataclass(frozen=True, slots=True)
class _Alone:
    """A value without the name of an input: for the only one; one text becomes as many dimensions as are declared."""

    value: Any


def _one_value(
    value: Any, info: TensorInfo, spec: Mapping[str, Feature] | None, scale: str | None, notes: list[str], key: str
) -> Any:
    """One input's value, with files read, images decoded and records made."""
    if isinstance(value, Path):
        value = _Alone(file_values(value))
    if isinstance(value, _Alone):
        value = value.value
        if isinstance(value, Mapping) and len(value) == 1 and not spec:
            value = next(iter(value.values()))  # the one array of an .npz
        if isinstance(value, bytes):
            return _from_bytes(value, info, scale, notes, key)
    if spec:
        value = _records(value, info, spec)
    is_image = takes_pixels(info)
    if isinstance(value, bytes) and is_image:
        return _from_bytes(value, info, scale, notes, key)
    if isinstance(value, list | tuple) and value and all(isinstance(item, Path | bytes) for item in value):
        loaded = [file_values(item) if isinstance(item, Path) else item for item in value]
        if is_image and all(isinstance(item, bytes) for item in loaded) and info.shape.rank in (3, 4):
            return _batch_of_images(loaded, info, scale, notes, key)
        return loaded
    return _without_base64(value) if info.dtype.base.number == constants.DT_STRING else value


def _from_bytes(data: bytes, info: TensorInfo, scale: str | None, notes: list[str], key: str) -> Tensor:
    tensor, note = image_value(data, info, scale=scale)
    notes.append(f"input {quoted(key)}: {note}")
    return tensor


def _batch_of_images(images: Sequence[bytes], info: TensorInfo, scale: str | None, notes: list[str], key: str) -> Any:
    made = [image_value(data, info, scale=scale) for data in images]
    shapes = {tensor.shape for tensor, _ in made}
    if len(shapes) > 1:
        raise RequestError(
            f"the images for input {quoted(key)} have different sizes, and {info} declares none: resize them"
        )
    shape = shapes.pop()
    notes.append(f"input {quoted(key)}: each of {len(made)} images {made[0][1]}")
    if not shape or shape[0] != 1:
        raise RequestError(f"input {quoted(key)} is declared {info}, which takes one image and not a list of them")
    return Tensor(made[0][0].dtype, (len(made), *shape[1:]), b"".join(tensor.data for tensor, _ in made))


def _records(value: Any, info: TensorInfo, spec: Mapping[str, Feature]) -> Any:
    """Features as serialized tf.Examples; whatever holds no features stays as it is."""
    from explorer.savedmodel.tf_example import example_bytes

    if isinstance(value, Mapping):
        if set(value) == {"b64"} and "b64" not in spec:
            return value
        record: Any = example_bytes(value, spec)
        for _ in filled_shape(info):
            record = [record]
        return record
    if isinstance(value, list | tuple) and value and all(isinstance(item, Mapping) for item in value):
        return [item if set(item) == {"b64"} and "b64" not in spec else example_bytes(item, spec) for item in value]
    return value


def _from_file(signature: Signature, loaded: Any, specs: Specs) -> Any:
    """What a file holds: a request body is taken apart, a mapping of inputs stays one."""
    if _is_frame(loaded):
        return loaded
    if not isinstance(loaded, Mapping):
        return _Alone(loaded)
    names = set(signature.inputs)
    if names.intersection(loaded):
        return loaded
    for member in ("inputs", "instances", "examples"):
        if member in loaded:
            return _from_body(signature, member, loaded[member])
    only = next(iter(names)) if len(names) == 1 else None
    if only is not None and (len(loaded) == 1 or only in specs):
        return _Alone(dict(loaded))
    return loaded


def _from_body(signature: Signature, member: str, value: Any) -> Any:
    """The inputs that stand in a request body of the REST API."""
    names = set(signature.inputs)
    if member == "inputs" and isinstance(value, Mapping) and names <= set(value):
        return {key: value[key] for key in signature.inputs}
    is_rows = member == "instances" and isinstance(value, list)
    if is_rows and all(isinstance(row, Mapping) and names == set(row) for row in value):
        return {key: [row[key] for row in value] for key in signature.inputs}
    return _Alone(value)


def _is_frame(values: Any) -> bool:
    return hasattr(values, "columns") and hasattr(values, "iloc")


def _from_frame(signature: Signature, frame: Any, specs: Specs) -> dict[str, Any]:
    """A table's columns as inputs, as features, or as the columns of the one input's matrix."""
    columns = [str(column) for column in frame.columns]
    if len(set(columns)) != len(columns):
        raise RequestError(f"the table has two columns of one name: {listed(columns)}")
    if not len(frame):
        raise RequestError("the table has no rows, and each row would be an example")
    frame = frame.set_axis(columns, axis=1)
    if set(columns) == set(signature.inputs):
        return {key: _column(frame[key]) for key in signature.inputs}
    only = next(iter(signature.inputs)) if len(signature.inputs) == 1 else None
    if only is not None and specs.get(only):
        rows = zip(*(_column(frame[column], as_list=True) for column in columns), strict=True)
        return {only: [dict(zip(columns, row, strict=True)) for row in rows]}
    if only is not None and signature.inputs[only].dtype.base.number != constants.DT_STRING:
        numeric = frame.select_dtypes("number")
        dims = signature.inputs[only].shape.dims
        if dims is not None and len(dims) == 1 and numeric.shape[1] == 1:
            return {only: numeric.iloc[:, 0].to_numpy()}
        if numeric.shape[1] and (dims is None or (len(dims) == 2 and dims[1] in (None, numeric.shape[1]))):
            return {only: numeric.to_numpy()}
        raise RequestError(
            f"the table has {numeric.shape[1]} columns of numbers ({listed(numeric.columns)}), which don't make an "
            f"input {quoted(only)} declared {signature.inputs[only]}: give a column for each of its columns"
        )
    missing = [key for key in signature.inputs if key not in columns]
    extra = [column for column in columns if column not in signature.inputs]
    raise RequestError(
        f"the table's columns must be the inputs of {_where(signature)}, {listed(signature.inputs)}; missing are "
        f"{listed(missing)}, unknown are {listed(extra)}"
    )


def _column(series: Any, as_list: bool = False) -> Any:
    if series.dtype.kind in "biufc" and hasattr(series.dtype, "itemsize") and not as_list:
        return series.to_numpy()
    return [item.tolist() if hasattr(item, "tolist") else item for item in series.tolist()]


def _without_base64(value: Any, depth: int = 0) -> Any:
    """Nested lists in which ``{"b64": …}``, as a body has it, is the bytes that it stands for."""
    if isinstance(value, Mapping):
        text = value.get("b64")
        if len(value) == 1 and isinstance(text, str):
            try:
                return base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                raise RequestError("a value of 'b64' is not base64 in the standard alphabet") from None
        return value
    if depth <= MOST_RANK and isinstance(value, list) and any(isinstance(item, list | Mapping) for item in value):
        return [_without_base64(item, depth + 1) for item in value]
    return value


def _checked(key: str, tensor: Tensor, info: TensorInfo, signature: Signature) -> Tensor:
    from explorer.savedmodel.model import DType, Shape

    if tensor.dtype != info.dtype.base.number or not Shape(tensor.shape).is_compatible_with(info.shape):
        raise RequestError(
            f"the value for input {quoted(key)} of {_where(signature)} doesn't fit: it is "
            f"{DType(tensor.dtype)}{Shape(tensor.shape)}, but {info} is declared"
        )
    return tensor


def _only_input(signature: Signature) -> str:
    if len(signature.inputs) != 1:
        raise RequestError(
            f"{_where(signature)} has the inputs {listed(signature.inputs)}: say which input a value is for, "
            "by a mapping from input key to value"
        )
    return next(iter(signature.inputs))


def _specs(meta_graph: MetaGraph | None, signature: Signature) -> Specs:
    if meta_graph is None:
        return {}
    from explorer.savedmodel.feature_spec import feature_specs

    return feature_specs(meta_graph, signature)


def _where(signature: Signature) -> str:
    return f"signature {quoted(signature.key)}"
