"""The inputs of a signature, seen as columns of a table: what one row, a tf.Example or a line of text, has for each.

Nothing here needs TensorFlow. Three kinds of steps share it: :mod:`explorer.runtime.example_options` for serialized
``tf.Example`` records, :mod:`explorer.runtime.table_options` for CSV lines and JSON texts.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from explorer.errors import EditError, ExplorerError, listed, quoted
from explorer.runtime.row_values import FLOATS, RANGES, Value, blank_of, flat_values
from explorer.savedmodel import constants
from explorer.savedmodel.model import DType, Signature, TensorInfo

MOST_VALUES: Final = 10_000_000
"""An input with more values a row than this is not fed from records."""

_SETTINGS: Final = ("name", "default", "shape", "padding")


@dataclass(frozen=True, slots=True)
class RowInput:
    """What one row has for an input.

    Attributes:
        key: The key of the model's input.
        name: What it is called in the row: the name of a feature, or a key of a JSON object.
        type_number: The dtype of the input, by its number in ``types.proto``.
        shape: Of one row, so without the batch; None for the one size that may differ from row to row.
        default: The values that stand in for a missing one, flat; None where it must not be missing.
        padding: What rows that are shorter than the longest of a batch are filled up with.
        is_constant: Whether the input has no dimension for a batch: it gets its default, whatever the rows hold.

    Raises:
        EditError: The default or the padding doesn't fit.
    """

    key: str
    name: str
    type_number: int
    shape: tuple[int | None, ...] = ()
    default: tuple[Value, ...] | None = None
    padding: Value | None = None
    is_constant: bool = False

    def __post_init__(self) -> None:
        if self.type_number not in FLOATS and self.type_number not in RANGES and not self.is_text:
            raise EditError(
                f"input {quoted(self.key)} is declared {self.dtype}; a row holds texts, integers, floats and booleans"
            )
        try:
            self.name.encode()
        except UnicodeEncodeError:
            raise EditError(f"{quoted(self.name)} is not text that UTF-8 can encode; give the input a name") from None
        if not self.name:
            raise EditError(f"input {quoted(self.key)} has no name in the rows; give it one")
        if any(isinstance(dim, int) and dim < 1 for dim in self.shape) or (self.size or 1) > MOST_VALUES:
            raise EditError(
                f"input {quoted(self.key)} has {self.printable} for one row; 1 to {MOST_VALUES} values are fed"
            )
        if self.default is not None and self.size is not None and len(self.default) != self.size:
            raise EditError(
                f"the default of input {quoted(self.key)} has {len(self.default)} values, and one row has "
                f"{self.printable}"
            )
        if self.is_constant and self.default is None:
            raise EditError(f"input {quoted(self.key)} has no dimension for a batch, and no default either")

    @property
    def dtype(self) -> DType:
        """The dtype of the input."""
        return DType(self.type_number)

    @property
    def is_text(self) -> bool:
        """Whether the input takes texts."""
        return self.type_number == constants.DT_STRING

    @property
    def is_variable(self) -> bool:
        """Whether rows may have different numbers of values."""
        return None in self.shape

    @property
    def size(self) -> int | None:
        """How many values one row has; None where that differs."""
        return None if self.is_variable else math.prod(dim or 0 for dim in self.shape)

    @property
    def filling(self) -> Value:
        """What short rows are filled up with."""
        return blank_of(self.type_number) if self.padding is None else self.padding

    @property
    def printable(self) -> str:
        """Dtype and shape of one row, for sentences: ``float32[3]``."""
        return f"{self.dtype}[{', '.join('?' if dim is None else str(dim) for dim in self.shape)}]"


@dataclass(frozen=True, slots=True)
class Rows:
    """The inputs that rows feed.

    Attributes:
        inputs: In the order of the signature.
        batch: How many rows the model takes at a time; None for any number.
        stays: The inputs that the rows don't feed, so that the new signature has them too.
        reasons: What was chosen, and why; for people.
    """

    inputs: tuple[RowInput, ...]
    batch: int | None = None
    stays: tuple[str, ...] = ()
    reasons: tuple[tuple[str, str], ...] = ()


def rows_for(
    signature: Signature,
    features: Mapping[str, Any] | None = None,
    *,
    only: Collection[str] | None = None,
    feeds_all: bool = False,
) -> Rows:
    """What rows have for the inputs of a signature.

    Args:
        signature: The signature.
        features: Input key → the name in the rows, or a mapping with any of ``name``, ``default``, ``shape`` (of one
            row, where the input doesn't declare it) and ``padding``.
        only: The inputs that are fed; None for all that can be.
        feeds_all: Whether the new signature can have no other input, as for classify and regress.

    Raises:
        NotFoundError: The signature hasn't such an input.
        EditError: An input can't be fed from rows, and the sentence says why.
    """
    settings = {key: _setting(key, signature, value) for key, value in (features or {}).items()}
    for key in only or ():
        signature.input(key)
    wanted = [key for key in signature.inputs if only is None or key in only]
    if feeds_all and len(wanted) < len(signature.inputs):
        left = [key for key in signature.inputs if key not in wanted]
        raise EditError(f"classify and regress send nothing but tf.Examples, so these must feed {listed(left)} too")
    shapes = {key: _declared(signature.inputs[key], settings.get(key, {})) for key in wanted}
    has_open = any(shape and shape[0] is None for shape in shapes.values())
    inputs: list[RowInput] = []
    stays: list[str] = [key for key in signature.inputs if key not in wanted]
    reasons: list[tuple[str, str]] = []
    batches: dict[str, int] = {}
    for key in wanted:
        info, shape, setting = signature.inputs[key], shapes[key], settings.get(key, {})
        must = feeds_all or only is not None or key in settings
        try:
            if shape is None:
                raise EditError(
                    f"input {quoted(key)} is declared {info.dtype}{info.shape}: how many values has one row? give the "
                    "shape of one row for it"
                )
            if _has_batch(shape, has_open):
                if isinstance(shape[0], int):
                    batches[key] = shape[0]
                made = _batched(signature, key, shape[1:], setting, reasons)
            else:
                made = _constant(signature, key, shape, setting, feeds_all)
                reasons.append((key, "the input has no dimension for a batch: it always gets its default"))
        except EditError as error:
            if must:
                raise
            stays.append(key)
            reasons.append((key, f"stays an input of the new signature: {error}"))
            continue
        inputs.append(made)
    if not any(not one.is_constant for one in inputs):
        causes = "; ".join(reason for _, reason in reasons) or f"its inputs are {listed(signature.inputs)}"
        raise EditError(f"signature {quoted(signature.key)} has no input that rows can feed: {causes}")
    if len(set(batches.values())) > 1:
        told = ", ".join(f"{quoted(key)} takes {count}" for key, count in batches.items())
        raise EditError(f"the inputs don't take equally many rows: {told}")
    _expect_different_names(inputs)
    batch = next(iter(batches.values()), None)
    if batch is not None:
        reasons.append(("batch", f"the model takes exactly {batch} row{'' if batch == 1 else 's'} at a time"))
    return Rows(tuple(inputs), batch, tuple(key for key in signature.inputs if key in stays), tuple(reasons))


def rows_from_dict(values: Any) -> tuple[RowInput, ...]:
    """The inputs, from what ``dataclasses.asdict`` and JSON made of them.

    Raises:
        EditError: The data hasn't that form.
    """
    known = {one.name for one in dataclasses.fields(RowInput)}
    made = []
    for value in values if isinstance(values, list | tuple) else [None]:
        if not isinstance(value, Mapping) or set(value) - known:
            raise EditError("these are no inputs of rows")
        kept: dict[str, Any] = {name: tuple(item) if isinstance(item, list) else item for name, item in value.items()}
        try:
            made.append(RowInput(**kept))
        except TypeError as error:
            raise EditError(f"these are no inputs of rows: {error}") from None
    return tuple(made)


def _setting(key: str, signature: Signature, value: Any) -> Mapping[str, Any]:
    """What a person said about an input."""
    signature.input(key)
    if isinstance(value, str):
        return {"name": value}
    if not isinstance(value, Mapping):
        raise EditError(f"what is said about input {quoted(key)} must be a name, or a mapping with {listed(_SETTINGS)}")
    if unknown := [str(name) for name in value if name not in _SETTINGS]:
        raise EditError(f"nothing can be said about {listed(unknown)} of input {quoted(key)}; give {listed(_SETTINGS)}")
    name = value.get("name", key)
    if not isinstance(name, str):
        raise EditError(f"the name of input {quoted(key)} in the rows must be text, not {type(name).__name__}")
    return value


def _declared(info: TensorInfo, setting: Mapping[str, Any]) -> tuple[int | None, ...] | None:
    """The shape of an input with its batch, as far as it is declared and said; None where the rank is unknown."""
    dims = info.shape.dims
    if "shape" not in setting:
        return dims
    given = setting["shape"]
    sizes: tuple[Any, ...] = tuple(given) if isinstance(given, list | tuple) else (given,)
    if not all(size is None or (isinstance(size, int) and not isinstance(size, bool)) for size in sizes):
        raise EditError("the shape of one row is a list of whole numbers, with None for a size that differs")
    if dims is not None and (
        len(dims) != len(sizes) + 1 or any(mine not in (None, size) for mine, size in zip(dims[1:], sizes, strict=True))
    ):
        raise EditError(f"the input is declared {info.dtype}{info.shape}, so one row can't have the shape {sizes}")
    return (None if dims is None else dims[0], *sizes)


def _has_batch(shape: tuple[int | None, ...], has_open: bool) -> bool:
    """Whether the first dimension is that of a batch: an open one, or where none is open one of 1 or above rows."""
    if not shape:
        return False
    return shape[0] is None or (not has_open and (len(shape) > 1 or shape[0] == 1))


def _batched(
    signature: Signature,
    key: str,
    shape: tuple[int | None, ...],
    setting: Mapping[str, Any],
    reasons: list[tuple[str, str]],
) -> RowInput:
    info = signature.inputs[key]
    number = _type_of(key, info)
    name = str(setting.get("name", key))
    default: tuple[Value, ...] | None = None
    if setting.get("default") is not None:
        default = _fitting(setting["default"], number, shape, f"the default of input {quoted(key)}")
    elif key in signature.defaults:
        default, cause = _own_default(signature, key, number, shape)
        reasons.append((key, cause))
    padding: Value | None = None
    if setting.get("padding") is not None:
        (padding,) = _fitting(setting["padding"], number, (), f"the padding of input {quoted(key)}")
    made = RowInput(key, name, number, shape, default, padding)
    if made.is_variable:
        reasons.append((key, f"rows may have different lengths; short ones are filled up with {made.filling!r}"))
    return made


def _constant(
    signature: Signature, key: str, shape: tuple[int | None, ...], setting: Mapping[str, Any], may_use_own: bool
) -> RowInput:
    """An input without a dimension for a batch, which can have a value of its own only.

    Raises:
        EditError: There is none.
    """
    info = signature.inputs[key]
    number = _type_of(key, info)
    said = f"input {quoted(key)} is declared {info.dtype}{info.shape}, without a dimension for a batch"
    if None in shape:
        raise EditError(f"{said}, and of no fixed size, so rows can't feed it")
    default: tuple[Value, ...] | None = None
    if setting.get("default") is not None:
        default = _fitting(setting["default"], number, shape, f"the default of input {quoted(key)}")
    elif key in signature.defaults and may_use_own:
        default, _ = _own_default(signature, key, number, shape)
    if default is None:
        raise EditError(f"{said}, so rows can't feed it; give a default for it, which then holds for all rows")
    return RowInput(key, str(setting.get("name", key)), number, shape, default, is_constant=True)


def _type_of(key: str, info: TensorInfo) -> int:
    if info.tensor_name is None or info.encoding != "name":
        raise EditError(f"input {quoted(key)} consists of several tensors ({info.encoding}), and rows feed plain ones")
    return info.dtype.base.number


def _own_default(
    signature: Signature, key: str, number: int, shape: tuple[int | None, ...]
) -> tuple[tuple[Value, ...] | None, str]:
    """The default that the signature declares for an input, if it can be that of one row, and what is said about it."""
    from explorer.serving.tensor_protos import read_tensor

    try:
        value = read_tensor(signature.defaults[key], key).to_array()
        if value.ndim == len(shape) + 1 and value.shape[0] == 1:
            value = value[0]
        return _fitting(value, number, shape, "it"), "its default is that of the signature"
    except ExplorerError:
        return None, "the default of the signature can't be that of one row, so every row must have a value"


def _fitting(value: Any, number: int, shape: tuple[int | None, ...], what: str) -> tuple[Value, ...]:
    """A value as the flat values of one row; a single one stands for all of them."""
    values = flat_values(value, number, what)
    if None in shape:
        step = math.prod(dim for dim in shape if dim is not None)
        if len(values) % step:
            raise EditError(f"{what} has {len(values)} values; give a multiple of {step}")
        return values
    size = math.prod(dim or 0 for dim in shape)
    if len(values) == 1 and 1 < size <= MOST_VALUES:
        return values * size
    if len(values) != size:
        raise EditError(f"{what} has {len(values)} values, and one row has {size}")
    return values


def _expect_different_names(inputs: list[RowInput]) -> None:
    keys: dict[str, str] = {}
    for one in inputs:
        if not one.is_constant and one.name in keys:
            raise EditError(
                f"inputs {quoted(keys[one.name])} and {quoted(one.key)} would both be called {quoted(one.name)}"
            )
        if not one.is_constant:
            keys[one.name] = one.key
