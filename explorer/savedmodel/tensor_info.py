"""One input or output of a signature: its dtype, its shape, and which tensor of the graph it is.

Named after ``TensorInfo`` in ``tensorflow/core/protobuf/meta_graph.proto``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from explorer.errors import FormatError, listed, quoted
from explorer.savedmodel import constants

if TYPE_CHECKING:
    import pandas as pd

_Value = TypeVar("_Value")


def frozen(values: Mapping[str, _Value]) -> Mapping[str, _Value]:
    """A read-only mapping in the given order."""
    return MappingProxyType(dict(values))


@dataclass(frozen=True, slots=True)
class DType:
    """A TensorFlow dtype by its number in ``types.proto``.

    Attributes:
        number: The number; one that TensorFlow doesn't know yet is kept as it is.
    """

    number: int

    @property
    def is_ref(self) -> bool:
        """Whether it is a reference to a variable of TensorFlow 1."""
        return self.number - constants.REF_OFFSET in constants.DTYPE_NAMES

    @property
    def base(self) -> DType:
        """The dtype of the values: itself, or what a reference refers to."""
        return DType(self.number - constants.REF_OFFSET) if self.is_ref else self

    @property
    def name(self) -> str:
        """The name in ``types.proto``: ``DT_FLOAT``, ``DT_FLOAT_REF``, or ``DT_<n>`` for a number without a name."""
        known = constants.DTYPE_NAMES.get(self.base.number)
        if known is None:
            return f"DT_{self.number}"
        return f"DT_{known.upper()}{'_REF' if self.is_ref else ''}"

    @classmethod
    def from_name(cls, name: str) -> DType:
        """The dtype with a name of ``types.proto``.

        Raises:
            FormatError: There is none.
        """
        for number, known in constants.DTYPE_NAMES.items():
            if name == f"DT_{known.upper()}":
                return cls(number)
            if name == f"DT_{known.upper()}_REF":
                return cls(number + constants.REF_OFFSET)
        if name.startswith("DT_") and name[3:].lstrip("-").isdecimal():
            return cls(int(name[3:]))
        raise FormatError(f"{quoted(name)} is no dtype; one such as 'DT_FLOAT' was expected")

    def __str__(self) -> str:
        known = constants.DTYPE_TEXTS.get(self.base.number) or constants.DTYPE_NAMES.get(self.base.number)
        if known is None:
            return f"dtype {self.number}"
        return f"{known}_ref" if self.is_ref else known


@dataclass(frozen=True, slots=True)
class Shape:
    """A tensor's declared shape.

    Attributes:
        dims: Dimension sizes, None where one is unknown; None in place of the tuple where the rank is unknown.
    """

    dims: tuple[int | None, ...] | None

    @property
    def rank(self) -> int | None:
        """The number of dimensions, None where unknown; a scalar has 0."""
        return None if self.dims is None else len(self.dims)

    def is_compatible_with(self, other: Shape) -> bool:
        """Whether one tensor can have both shapes: equal where both are known."""
        if self.dims is None or other.dims is None:
            return True
        return len(self.dims) == len(other.dims) and all(
            mine is None or theirs is None or mine == theirs for mine, theirs in zip(self.dims, other.dims, strict=True)
        )

    def __str__(self) -> str:
        if self.dims is None:
            return "<unknown rank>"
        return "[" + ", ".join("?" if dim is None else str(dim) for dim in self.dims) + "]"


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One input or output of a signature, as declared.

    Attributes:
        dtype: The declared dtype.
        shape: The declared shape.
        tensor_name: ``node:index`` in the graph, None for an encoding of several tensors.
        encoding: ``"name"``, ``"coo_sparse"`` or ``"composite_tensor"``.
        components: The tensors behind an encoding of several: name by role for ``coo_sparse`` (``values``,
            ``indices``, ``dense_shape``), position (``"0"``, ``"1"`` …) for ``composite_tensor``; None for one tensor.
    """

    dtype: DType
    shape: Shape
    tensor_name: str | None
    encoding: str = "name"
    components: Mapping[str, str] | None = None

    @property
    def tensor_names(self) -> tuple[str, ...]:
        """Every graph tensor that it stands for."""
        if self.components is not None:
            return tuple(self.components.values())
        return () if self.tensor_name is None else (self.tensor_name,)

    def to_dict(self) -> dict[str, Any]:
        """As plain data, with the names of ``show --json``."""
        return {
            "dtype": self.dtype.name,
            "shape": None if self.shape.dims is None else list(self.shape.dims),
            "tensor_name": self.tensor_name,
            "encoding": self.encoding,
            "components": None if self.components is None else dict(self.components),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TensorInfo:
        """The inverse of :meth:`to_dict`.

        Raises:
            FormatError: The data hasn't that form.
        """
        expect_keys(data, "a tensor", {"dtype"}, {"shape", "tensor_name", "encoding", "components"})
        shape, components = data.get("shape"), data.get("components")
        if shape is not None and not (isinstance(shape, list | tuple) and all(_is_dim(dim) for dim in shape)):
            raise FormatError("the shape of a tensor must be null or a list of whole numbers and nulls")
        if components is not None:
            components = frozen({str(role): str(name) for role, name in mapping_of(components, "components").items()})
        name = data.get("tensor_name")
        if name is not None and not isinstance(name, str):
            raise FormatError("the tensor_name of a tensor must be text or null")
        encoding = data.get("encoding", "name")
        if encoding not in ("name", "coo_sparse", "composite_tensor"):
            raise FormatError("the encoding of a tensor must be 'name', 'coo_sparse' or 'composite_tensor'")
        if encoding == "name" and name is None:
            raise FormatError("a tensor with the encoding 'name' needs a tensor_name")
        return cls(
            dtype=DType.from_name(str(data["dtype"])),
            shape=Shape(None if shape is None else tuple(shape)),
            tensor_name=name,
            encoding=encoding,
            components=components,
        )

    def to_frame(self) -> pd.DataFrame:
        """A table of one row."""
        import explorer  # the top of the package knows how it looks; the model itself does not

        return explorer.to_frame(self)

    def __str__(self) -> str:
        return f"{self.dtype}{self.shape}"


def mapping_of(data: object, what: str) -> Mapping[str, Any]:
    """The data as a mapping; refuses what is none."""
    if not isinstance(data, Mapping):
        raise FormatError(f"{what} must be a mapping by key")
    return data


def expect_keys(data: object, what: str, needed: set[str], optional: set[str] | None) -> None:
    """Refuses data without the needed keys, or with others than the optional ones; None allows any."""
    keys = set(mapping_of(data, what))
    if missing := needed - keys:
        raise FormatError(f"{what} lacks {listed(sorted(missing))}")
    if optional is not None and (unknown := keys - needed - optional):
        raise FormatError(f"{what} has {listed(sorted(unknown))}, which {what} cannot have")


def _is_dim(dim: object) -> bool:
    return dim is None or (isinstance(dim, int) and not isinstance(dim, bool))
