"""What must hold of each tensor of a signature: it is in the graph, and it is what the signature says it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from explorer.checking.findings import Finding, Severity
from explorer.checking.reachability import similar_tensor
from explorer.checking.scope import Scope, Side, tensor_names
from explorer.errors import quoted
from explorer.savedmodel import constants
from explorer.savedmodel.graph import Graph, split_tensor_name
from explorer.savedmodel.model import DType, TensorInfo

_HELD_BY_THE_MODEL = (constants.DT_RESOURCE, constants.DT_VARIANT)
_SPARSE_DTYPES = {"indices": constants.DT_INT64, "dense_shape": constants.DT_INT64}


def check_tensors(scope: Scope) -> Iterator[Finding]:
    """Examines every input and output by itself."""
    sides: tuple[Side, ...] = ("input", "output")
    for side in sides:
        for key, info in scope.infos(side).items():
            if scope.signature.is_reserved and info.dtype.number == constants.DT_INVALID:
                yield from _check_reserved_op(scope, side, key, info)
                continue
            yield from _check_declaration(scope, side, key, info)
            if scope.graph is not None:
                yield from _check_in_graph(scope, scope.graph, side, key, info)


def _check_reserved_op(scope: Scope, side: Side, key: str, info: TensorInfo) -> Iterator[Finding]:
    """An init op is named without an index; it only has to be there."""
    for name in tensor_names(info):
        if scope.graph is not None and split_tensor_name(name)[0] not in scope.graph.nodes:
            yield scope.finding(
                "error",
                "missing_tensor",
                f"{scope.of(side, key)}, which loaders run, names the op {quoted(name)}, which the graph doesn't have: "
                "the model can't be loaded",
                field=side,
                key=key,
                subject=name,
            )


def _check_declaration(scope: Scope, side: Side, key: str, info: TensorInfo) -> Iterator[Finding]:
    """What the signature alone tells."""
    where = scope.of(side, key)
    subject = ",".join(tensor_names(info))
    number = info.dtype.base.number
    if number == constants.DT_INVALID:
        if info.encoding == "name":
            yield scope.finding(
                "note", "unspecified_dtype", f"{where} has no dtype, as files of early versions have it",
                field=side, key=key, subject=subject,
            )  # fmt: skip
    elif number not in constants.DTYPE_NAMES:
        yield scope.finding(
            "error",
            "bad_dtype",
            f"{where} has the dtype number {info.dtype.number}, which TensorFlow doesn't know",
            field=side,
            key=key,
            subject=f"{subject} {info.dtype.number}",
            edit=_own_type(scope, side, key, info),
        )
    elif number in _HELD_BY_THE_MODEL:
        yield _held_by_the_model(scope, side, key, info, info.dtype)
    for size in info.shape.dims or ():
        if size is not None and size < 0:
            yield scope.finding(
                "error",
                "bad_dimension",
                f"{where} has a dimension of size {size}, where a size is -1, for unknown, or at least 0"
                f"{scope.loading_fails if side == 'output' else ''}",
                field=side,
                key=key,
                subject=f"{subject} {size}",
                edit=_own_type(scope, side, key, info),
            )
            break


def _check_in_graph(scope: Scope, graph: Graph, side: Side, key: str, info: TensorInfo) -> Iterator[Finding]:
    faults = [fault for name in tensor_names(info) if (fault := _name_fault(scope, graph, side, key, info, name))]
    yield from faults
    if faults or info.encoding == "composite_tensor":
        return
    if info.components is None:
        names = {"": info.tensor_name or ""}
    else:
        names = dict(info.components)
    for role, name in names.items():
        tensor = graph.tensor(name)
        if tensor is None:
            continue
        declared = DType(_SPARSE_DTYPES[role]) if role in _SPARSE_DTYPES else info.dtype
        known = declared.base.number in constants.DTYPE_NAMES and declared.number and tensor.dtype.number
        if known and tensor.dtype.base != declared.base:
            if tensor.dtype.base.number in _HELD_BY_THE_MODEL:
                yield _held_by_the_model(scope, side, key, info, tensor.dtype)
            else:
                yield _wrong_dtype(scope, side, key, name, declared, tensor.dtype, role)
        if not role and not tensor.shape.is_compatible_with(info.shape):
            yield _wrong_shape(scope, side, key, info, str(tensor.shape))


def _name_fault(scope: Scope, graph: Graph, side: Side, key: str, info: TensorInfo, name: str) -> Finding | None:
    """What is wrong with the name of a tensor, None where it names one."""
    node_name, index = split_tensor_name(name)
    where = scope.of(side, key)
    if graph.tensor(name) is not None:
        return None
    one = info.encoding == "name"
    if index is None and node_name in graph.nodes:
        first = f"{name}:0"
        edit = scope.tensor_edit(side, key, first) if one and graph.tensor(first) is not None else None
        consequence = (
            scope.loading_fails if side == "input" else ", and tf.saved_model.load gives no value under this key"
        )
        return scope.finding(
            "error",
            "bare_op_name",
            f"{where} names the op {quoted(name)} where a tensor such as {quoted(first)} is needed{consequence}",
            f"write {quoted(first)}" if edit else "",
            field=side,
            key=key,
            subject=name,
            edit=edit,
        )
    similar = similar_tensor(graph, name, info) if one else None
    fix = (
        f"if {quoted(similar)} was meant, point the {side} at it" if similar else f"point the {side} at another tensor"
    )
    edit = scope.tensor_edit(side, key, similar) if similar else None
    if index is not None and node_name in graph.nodes:
        count = graph.output_count(node_name) or 0
        has = "no outputs" if not count else "only output 0" if count == 1 else f"only the outputs 0 to {count - 1}"
        message = f"{where} is the tensor {quoted(name)}, but the op {quoted(node_name)} has {has}"
        code = "missing_output"
    else:
        message = f"{where} is the tensor {quoted(name)}, which the graph doesn't have"
        code = "missing_tensor"
    return scope.finding(
        "error",
        code,
        f"{message}: every request fails{scope.loading_fails}",
        fix,
        field=side,
        key=key,
        subject=name,
        edit=edit,
    )


def _wrong_dtype(scope: Scope, side: Side, key: str, name: str, declared: DType, actual: DType, role: str) -> Finding:
    where = f"the {role} of {scope.of(side, key)}" if role else scope.of(side, key)
    if side == "input":
        consequence = "a request of the declared dtype is refused"
    else:
        consequence = "clients that trust the declaration misread the answer"
    return scope.finding(
        "error",
        "dtype_mismatch",
        f"{where} is declared {declared}, but the tensor {quoted(name)} is {actual.base}: {consequence}",
        f"declare it {actual.base}, by pointing the {side} at {quoted(name)} anew, or point it at another tensor",
        field=side,
        key=key,
        subject=f"{name} {declared.number}",
        edit=None if role else scope.tensor_edit(side, key, name),
    )


def _wrong_shape(scope: Scope, side: Side, key: str, info: TensorInfo, actual: str) -> Finding:
    severity: Severity = "error" if side == "input" else "warning"
    if side == "input":
        consequence = "a request of the declared shape fails"
    else:
        consequence = "the answer has not the declared shape"
    name = info.tensor_name or ""
    return scope.finding(
        severity,
        "shape_mismatch",
        f"{scope.of(side, key)} is declared with the shape {info.shape}, but the tensor {quoted(name)} has {actual}: "
        f"{consequence}",
        f"declare the shape of the graph, by pointing the {side} at {quoted(name)} anew",
        field=side,
        key=key,
        subject=f"{name} {info.shape}",
        edit=scope.tensor_edit(side, key, name),
    )


def _held_by_the_model(scope: Scope, side: Side, key: str, info: TensorInfo, dtype: DType) -> Finding:
    return scope.finding(
        "error",
        "resource_tensor",
        f"{scope.of(side, key)} is of dtype {dtype.base}, a handle inside the running model that no request can carry",
        f"point the {side} at a tensor of values",
        field=side,
        key=key,
        subject=",".join(tensor_names(info)),
    )


def _own_type(scope: Scope, side: Side, key: str, info: TensorInfo) -> Mapping[str, Any] | None:
    """The edit that lets the graph say dtype and shape, None where the graph doesn't know the tensor."""
    if scope.graph is None or info.tensor_name is None or scope.graph.tensor(info.tensor_name) is None:
        return None
    return scope.tensor_edit(side, key, info.tensor_name)
