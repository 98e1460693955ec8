"""JSON Schemas (draft 2020-12) of what the REST API takes and answers for a signature.

They say what the signature declares: dtypes, and shapes where they are known. The server compares no shapes, and what
JSON Schema can't say (``1.0`` is no integer there; NaN and infinity are numbers) stands in descriptions. The rules are
those of ``json_tensor.cc`` of https://github.com/tensorflow/serving.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from explorer.checking.method_rules import method_faults
from explorer.errors import RequestError, quoted
from explorer.savedmodel import constants
from explorer.savedmodel.model import DType, MetaGraph, Signature, TensorInfo
from explorer.serving.arrays import INTEGER_RANGES
from explorer.serving.bodies import EXAMPLES_INPUT, answer_obstacle, check_callable, takes_examples
from explorer.serving.values import is_rest_dtype

if TYPE_CHECKING:
    from explorer.savedmodel.feature_spec import Feature

Schema = dict[str, Any]

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"

IN_SCHEMA: Final = "#/$defs/"
"""Where a schema of its own keeps its definitions; an OpenAPI document has another place."""

_METHODS = {"classify": constants.CLASSIFY_METHOD_NAME, "regress": constants.REGRESS_METHOD_NAME}
_FLOAT64 = 2
_FLOAT_FORMATS = {1: "float", _FLOAT64: "double"}
_INTEGER_FORMATS = {3: "int32", 9: "int64"}
_REFERENCE = re.compile(r"/([^/]+)$")


def request_schema(signature: Signature, verb: str | None = None, *, meta_graph: MetaGraph | None = None) -> Schema:
    """The JSON Schema of the body of a request.

    Args:
        signature: The signature.
        verb: ``"predict"``, ``"classify"`` or ``"regress"``; None takes what the signature is for.
        meta_graph: Where the signature stands: what its graph parses from tf.Examples then stands in the schema.

    Raises:
        RequestError: No REST request can reach the signature with that verb.
    """
    return _whole(request_part(signature, verb, meta_graph=meta_graph))


def response_schema(signature: Signature, verb: str | None = None) -> Schema:
    """The JSON Schema of the body of an answer, errors included; arguments and errors as for :func:`request_schema`."""
    return _whole({"anyOf": [response_part(signature, verb), {"$ref": f"{IN_SCHEMA}error"}]})


def request_part(
    signature: Signature, verb: str | None = None, *, at: str = IN_SCHEMA, meta_graph: MetaGraph | None = None
) -> Schema:
    """As :func:`request_schema`, without the definitions that it refers to.

    Args:
        signature: The signature.
        verb: The verb.
        at: Where the definitions stand, see :func:`definitions`.
        meta_graph: Where the signature stands.
    """
    verb = checked_verb(signature, verb)
    name: Schema = {"description": "which of the model's signatures runs"}
    is_default = signature.key == constants.DEFAULT_SIGNATURE_KEY
    name |= {"enum": [signature.key, ""]} if is_default else {"const": signature.key}
    properties: Schema = {"signature_name": name}
    required = [] if is_default else ["signature_name"]
    part: Schema = {"title": f"{verb} request to {signature.key}", "type": "object", "properties": properties}
    if verb != "predict":
        features = _features(signature, meta_graph, at)
        properties["examples"] = {"description": "tf.Examples", "type": "array", "minItems": 1, "items": features}
        shared = {key: value for key, value in features.items() if key != "required"}
        properties["context"] = {**shared, "description": "features that all examples share"}
        return part | {"required": [*required, "examples"]}
    properties["inputs"] = _column(signature, at)
    forms = [{"required": ["inputs"]}]
    if rows := _rows(signature, at):
        properties["instances"] = rows
        forms.insert(0, {"required": ["instances"]})
    part |= {"required": required} if required else {}
    return part | {"oneOf": forms}


def response_part(signature: Signature, verb: str | None = None, *, at: str = IN_SCHEMA) -> Schema:
    """As :func:`response_schema`, without the definitions that it refers to and without errors."""
    verb = checked_verb(signature, verb)
    start: Schema = {"title": f"{verb} answer of {signature.key}", "type": "object"}
    if verb != "predict":
        result: Schema = {"$ref": f"{at}{'float32' if verb == 'regress' else 'classes'}"}
        return start | {"properties": {"results": {"type": "array", "items": result}}, "required": ["results"]}
    whole = {key: _answered(key, info, at, without_batch=False) for key, info in signature.outputs.items()}
    forms = [_one_member("outputs", _one_or_named(whole))]
    if all(info.shape.dims != () for info in signature.outputs.values()):
        rows = {key: _answered(key, info, at, without_batch=True) for key, info in signature.outputs.items()}
        forms.insert(0, _one_member("predictions", {"type": "array", "items": _one_or_named(rows)}))
    return start | ({"anyOf": forms} if len(forms) > 1 else forms[0])


def checked_verb(signature: Signature, verb: str | None = None) -> str:
    """The verb, or for None what the signature is for.

    Raises:
        RequestError: No REST request can reach the signature with that verb, or no answer can come back.
    """
    if verb not in (None, "predict", *_METHODS):
        raise RequestError(f"there is no verb {quoted(str(verb))}; it is 'predict', 'classify' or 'regress'")
    check_callable(signature)
    if verb is None:
        fits = takes_examples(signature) and not method_faults(signature, signature.method_name)
        verb = signature.method if fits else "predict"
    if verb in _METHODS and (faults := method_faults(signature, _METHODS[verb])):
        raise RequestError(
            f"signature {quoted(signature.key)} can't answer {verb} requests: {faults[0].message}; use predict"
        )
    for key, info in signature.outputs.items():
        if info.encoding != "name" or not is_rest_dtype(info.dtype):
            raise RequestError(
                f"output {quoted(key)} of signature {quoted(signature.key)} is {info}, which no answer of the REST API "
                "can hold; call it by gRPC"
            )
    return verb


def definitions(part: Any, *, at: str = IN_SCHEMA) -> dict[str, Schema]:
    """Every definition that a schema refers to, and those that these refer to: name → schema, sorted by name."""
    found: dict[str, Schema] = {}
    waiting = sorted(_references(part))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _definition(name, at)
            waiting += _references(found[name])
    return dict(sorted(found.items()))


def _whole(part: Schema) -> Schema:
    return {"$schema": DRAFT, **part, "$defs": definitions(part)}


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(reference := value.get("$ref"), str) and (name := _REFERENCE.search(reference)):
            yield name[1]
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


def _definition(name: str, at: str) -> Schema:
    fixed = _FIXED.get(name)
    if fixed is not None:
        return fixed(at)
    if name.endswith("_of_any_rank"):
        scalar = {"$ref": f"{at}{name.removesuffix('_of_any_rank')}"}
        return {"anyOf": [scalar, {"type": "array", "items": {"$ref": f"{at}{name}"}}]}
    return next(_scalar(DType(number)) for number in constants.DTYPE_NAMES if str(DType(number)) == name)


def _scalar(dtype: DType) -> Schema:
    number = dtype.number
    if number in _FLOAT_FORMATS:
        note = f"{dtype}; NaN, Infinity and -Infinity stand as bare words, which JSON itself doesn't know"
        return {"type": "number", "format": _FLOAT_FORMATS[number], "description": note}
    if number in INTEGER_RANGES:
        least, greatest = INTEGER_RANGES[number]
        schema: Schema = {"type": "integer", "minimum": least, "maximum": greatest}
        if number in _INTEGER_FORMATS:
            schema["format"] = _INTEGER_FORMATS[number]
        return schema | {"description": f"{dtype}, without a decimal point: the server refuses 1.0"}
    return {"type": "boolean"}


_FIXED: Final[Mapping[str, Callable[[str], Schema]]] = {
    "string": lambda at: {
        "description": "a text as it is, or bytes in base64",
        "anyOf": [{"type": "string"}, {"$ref": f"{at}bytes"}],
    },
    "bytes": lambda at: {
        "description": "bytes, in base64 with the standard alphabet",
        "type": "object",
        "properties": {"b64": {"type": "string", "contentEncoding": "base64"}},
        "required": ["b64"],
        "additionalProperties": False,
    },
    "text": lambda at: {"description": "a text, as the model gives it", "type": "string"},
    "feature": lambda at: {
        "description": "the values of a feature: 1.0 makes it one of floats, 1 or true one of integers",
        "anyOf": [{"$ref": f"{at}feature_value"}, {"type": "array", "items": {"$ref": f"{at}feature_value"}}],
    },
    "feature_value": lambda at: {"anyOf": [{"type": ["number", "boolean"]}, {"$ref": f"{at}string"}]},
    "classes": lambda at: {
        "description": "label and score of each class",
        "type": "array",
        "items": {
            "type": "array",
            "prefixItems": [{"$ref": f"{at}text"}, {"$ref": f"{at}float32"}],
            "minItems": 2,
            "maxItems": 2,
        },
    },
    "error": lambda at: {
        "description": "why the server refuses the request",
        "type": "object",
        "properties": {"error": {"type": "string"}},
        "required": ["error"],
    },
}
"""Name → what makes the schema, given where the definitions stand."""


def _column(signature: Signature, at: str) -> Schema:
    """The schema of ``inputs``: one tensor an input; where there is only one, also without its name."""
    values = {key: _value(info, str(info.dtype), at) for key, info in signature.inputs.items()}
    # Names beyond the signature's are no error here: the server never looks at them.
    named = {"type": "object", "properties": values, "required": list(values)}
    schema: Schema = named if len(values) > 1 else {"anyOf": [*values.values(), named]}
    return {"description": "column format: the whole tensor of every input", **schema}


def _rows(signature: Signature, at: str) -> Schema:
    """The schema of ``instances``: one object an example; empty where the row format, or its answer, can't be."""
    if answer_obstacle(signature):
        return {}
    sizes = set()
    for key, info in signature.inputs.items():
        dims = info.shape.dims
        if dims == () or "\0" in key:
            return {}
        if dims and dims[0] is not None and dims[0] >= 0:
            sizes.add(dims[0])
    if len(sizes) > 1 or sizes == {0}:
        return {}
    values = {key: _value(info, str(info.dtype), at, without_batch=True) for key, info in signature.inputs.items()}
    named = {"type": "object", "properties": values, "required": list(values), "additionalProperties": False}
    items: Schema = named if len(values) > 1 else {"anyOf": [*values.values(), named]}
    rows: Schema = {"description": "row format: one element for every example of the batch", "type": "array"}
    rows["minItems"] = next(iter(sizes), 1)
    return rows | ({"maxItems": next(iter(sizes))} if sizes else {}) | {"items": items}


def _answered(key: str, info: TensorInfo, at: str, *, without_batch: bool) -> Schema:
    name = str(info.dtype)
    if info.dtype.number == constants.DT_STRING:
        name = "bytes" if key.endswith("_bytes") else "text"
    return _value(info, name, at, without_batch=without_batch)


def _value(info: TensorInfo, name: str, at: str, *, without_batch: bool = False) -> Schema:
    """Nested arrays of the declared shape around a definition."""
    if info.shape.dims is None:
        return {"$ref": f"{at}{name}_of_any_rank"}
    schema: Schema = {"$ref": f"{at}{name}"}
    for dim in reversed(info.shape.dims[1:] if without_batch else info.shape.dims):
        schema = {"type": "array", "items": schema}
        if dim is not None and dim >= 0:
            schema |= {"minItems": dim, "maxItems": dim}
    return schema


def _one_or_named(values: Mapping[str, Schema]) -> Schema:
    """The one output without its name, or an object of several."""
    if len(values) == 1:
        return next(iter(values.values()))
    return {"type": "object", "properties": dict(values), "required": list(values)}


def _one_member(name: str, schema: Schema) -> Schema:
    return {"type": "object", "properties": {name: schema}, "required": [name]}


def _features(signature: Signature, meta_graph: MetaGraph | None, at: str) -> Schema:
    """The schema of one example: the features that the graph asks for, and any others."""
    from explorer.savedmodel.feature_spec import feature_specs

    spec = {} if meta_graph is None else feature_specs(meta_graph, signature).get(EXAMPLES_INPUT, {})
    schema: Schema = {"type": "object", "additionalProperties": {"$ref": f"{at}feature"}}
    if spec:
        schema["properties"] = {name: _feature(feature, at) for name, feature in spec.items()}
    # One that is missing in an example may stand in the context, so that none is required here.
    return schema


def _feature(feature: Feature, at: str) -> Schema:
    scalar: Schema = {"$ref": f"{at}{feature.dtype}"}
    size = feature.size if feature.kind == "fixed" else None
    listed: Schema = {"type": "array", "items": scalar}
    if size is not None:
        # Without a value a feature counts as left out, and the default takes its place.
        listed["maxItems"] = size
        if feature.required:
            listed["minItems"] = size
    if size not in (None, 1):
        return {"description": str(feature), **listed}
    return {"description": str(feature), "anyOf": [scalar, listed]}
