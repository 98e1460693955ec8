"""Python over gRPC with ``grpcio`` and ``protobuf`` alone: the few messages that are needed stand in the script."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from explorer.errors import RequestError, quoted
from explorer.savedmodel.model import DType
from explorer.serving.clients.python_grpc import (
    ADD_FEATURES,
    DECODED,
    LOADED_BODY,
    NO_LIMIT,
    RESULTS,
    examples_source,
    filled_examples,
    imports_of,
    model_spec,
)
from explorer.serving.clients.request import ClientRequest
from explorer.serving.literals import fill, python_literal

_START = """
# Run: python client.py (needs: pip install grpcio protobuf; neither TensorFlow nor tensorflow-serving-api)
«imports»

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# The messages of TensorFlow Serving that this request needs, with the fields of its .proto files: number, name and
# type, where [] marks a list and {} a map from text.
MESSAGES = {
    «messages»
}


def add_field(message, number, name, kind):
    base = kind.rstrip("[]{}")
    field = message.field.add(name=name, number=number, label=3 if base != kind else 1)
    if kind.endswith("{}"):  # on the wire a map is a list of entries, each with a key and a value
        entry = message.nested_type.add(name=f"{name.capitalize()}Entry")
        entry.options.map_entry = True
        add_field(entry, 1, "key", "string")
        add_field(entry, 2, "value", base)
        field.type, field.type_name = field.TYPE_MESSAGE, f".client.{message.name}.{entry.name}"
    elif base in MESSAGES:
        field.type, field.type_name = field.TYPE_MESSAGE, f".client.{base}"
    else:
        field.type = getattr(field, f"TYPE_{base.upper()}")


file = descriptor_pb2.FileDescriptorProto(name="client.proto", package="client", syntax="proto3")
for message_name, fields in MESSAGES.items():
    message = file.message_type.add(name=message_name)
    for number, field in fields.items():
        add_field(message, number, *field.split())
pool = descriptor_pool.DescriptorPool()  # a pool of its own, where no other library's messages are in the way
pool.AddSerializedFile(file.SerializeToString())


def message_class(name):
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"client.{name}"))
"""

_CALL = """
«no_limit»
with grpc.insecure_channel(«address», options=no_limit) as channel:
    call = channel.unary_unary(
        "/tensorflow.serving.PredictionService/«call»",
        request_serializer=«message»Request.SerializeToString,
        response_deserializer=message_class("«message»Response").FromString,
    )
    try:
        response = call(request, timeout=60)
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")
"""

_PREDICT = """
# dtype: its number in TensorFlow, the field with its values, and how struct calls one of them
DTYPES = {
    «dtypes»
}


def write(tensor, dtype, shape, values):
    tensor.dtype, field, _ = DTYPES[dtype]
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    getattr(tensor, field).extend(values)


«helpers»
def nested(values, shape):
    # Nested lists of values in row-major order.
    if not shape:
        return values[0]
    step = math.prod(shape[1:])
    return [nested(values[row * step : (row + 1) * step], shape[1:]) for row in range(shape[0])]


def read(tensor):
    for number, field, code in DTYPES.values():
        if number == tensor.dtype:
            break
    else:
        sys.exit(f"this client can't read values of the dtype {tensor.dtype} of TensorFlow's types.proto")
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    count = math.prod(shape)
    if tensor.tensor_content:  # the values as they lie in memory
        return nested(list(struct.unpack(f"<{count}{code}", tensor.tensor_content)), shape)
    values = list(getattr(tensor, field))
    return nested(values + values[-1:] * (count - len(values)), shape)  # a last value may stand for all that follow


def readable(value):
    # JSON has no bytes: text where they are UTF-8, base64 where not.
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode("ascii")}


PredictRequest = message_class("PredictRequest")
request = PredictRequest()
«model_spec»
# One tensor for every input, with its batch dimension where it has one: dtype, shape, values in row-major order.
«inputs»

«call»

print(json.dumps({key: read(tensor) for key, tensor in response.outputs.items()}, default=readable))
"""

_EXAMPLES = """
«examples»


«add_features»


«message»Request = message_class("«message»Request")
request = «message»Request()
«model_spec»
«filled»

«call»

«results»
print(json.dumps({"results": results}))
"""

_FLATTENED = """

def shape_of(value):
    return [len(value), *(shape_of(value[0]) if value else [])] if isinstance(value, list) else []


def flat(value):
    return [leaf for item in value for leaf in flat(item)] if isinstance(value, list) else [value]


"""

_DTYPES: Final = {
    "float32": (1, "float_val", "f"),
    "float64": (2, "double_val", "d"),
    "int32": (3, "int_val", "i"),
    "uint8": (4, "int_val", "B"),
    "int16": (5, "int_val", "h"),
    "int8": (6, "int_val", "b"),
    "string": (7, "string_val", ""),
    "int64": (9, "int64_val", "q"),
    "bool": (10, "bool_val", "?"),
    "uint16": (17, "int_val", "H"),
    "uint32": (22, "uint32_val", "I"),
    "uint64": (23, "uint64_val", "Q"),
}
"""Name of a dtype → its number in ``types.proto``, the field of a TensorProto with its values, its code in struct."""

_Fields = Mapping[str, Mapping[int, str]]

_SPEC: Final[_Fields] = {
    "Int64Value": {1: "value int64"},
    "ModelSpec": {1: "name string", 2: "version Int64Value", 3: "signature_name string"},
}

_PREDICT_MESSAGES: Final[_Fields] = {
    **_SPEC,
    "Dim": {1: "size int64"},
    "TensorShapeProto": {2: "dim Dim[]"},
    "TensorProto": {
        1: "dtype int32", 2: "tensor_shape TensorShapeProto", 4: "tensor_content bytes", 5: "float_val float[]",
        6: "double_val double[]", 7: "int_val int32[]", 8: "string_val bytes[]", 10: "int64_val int64[]",
        11: "bool_val bool[]", 16: "uint32_val uint32[]", 17: "uint64_val uint64[]",
    },
    "PredictRequest": {1: "model_spec ModelSpec", 2: "inputs TensorProto{}"},
    "PredictResponse": {1: "outputs TensorProto{}"},
}  # fmt: skip

_EXAMPLE_MESSAGES: Final[_Fields] = {
    **_SPEC,
    "BytesList": {1: "value bytes[]"},
    "FloatList": {1: "value float[]"},
    "Int64List": {1: "value int64[]"},
    "Feature": {1: "bytes_list BytesList", 2: "float_list FloatList", 3: "int64_list Int64List"},
    "Features": {1: "feature Feature{}"},
    "Example": {1: "features Features"},
    "ExampleList": {1: "examples Example[]"},
    "ExampleListWithContext": {1: "examples Example[]", 2: "context Example"},
    "Input": {1: "example_list ExampleList", 2: "example_list_with_context ExampleListWithContext"},
}

_RESULT_MESSAGES: Final[Mapping[str, _Fields]] = {
    "classify": {
        "ClassificationRequest": {1: "model_spec ModelSpec", 2: "input Input"},
        "Class": {1: "label string", 2: "score float"},
        "Classifications": {1: "classes Class[]"},
        "ClassificationResult": {1: "classifications Classifications[]"},
        "ClassificationResponse": {1: "result ClassificationResult"},
    },
    "regress": {
        "RegressionRequest": {1: "model_spec ModelSpec", 2: "input Input"},
        "Regression": {1: "value float"},
        "RegressionResult": {1: "regressions Regression[]"},
        "RegressionResponse": {1: "result RegressionResult"},
    },
}

_CALLS: Final = {"classify": ("Classify", "Classification"), "regress": ("Regress", "Regression")}


def code(request: ClientRequest) -> str:
    """The script."""
    call, message = _CALLS.get(request.verb, ("Predict", "Predict"))
    calling = fill(_CALL, call=call, message=message, address=python_literal(request.host), no_limit=NO_LIMIT).rstrip()
    if request.verb == "predict":
        return _predict_code(request, calling)
    examples = examples_source(request)
    start = fill(
        _START,
        imports=imports_of("json", "sys", *(["base64"] if request.is_long else []), text=examples),
        messages=_source({**_EXAMPLE_MESSAGES, **_RESULT_MESSAGES[request.verb]}),
    )
    rest = fill(
        _EXAMPLES,
        examples=examples,
        add_features=ADD_FEATURES,
        filled=filled_examples(request),
        message=message,
        model_spec=model_spec(request),
        call=calling,
        results=RESULTS[request.verb],
    )
    return f"{start}\n\n{rest}"


def _predict_code(request: ClientRequest, calling: str) -> str:
    _check_dtypes(request)
    imports = imports_of("base64", "json", "math", "struct", "sys", text="")
    start = fill(_START, imports=imports, messages=_source(_PREDICT_MESSAGES))
    rest = fill(
        _PREDICT,
        dtypes="\n".join(
            f'"{name}": ({number}, "{field}", "{sign}"),' for name, (number, field, sign) in _DTYPES.items()
        ),
        helpers=f"{DECODED.strip()}\n{_FLATTENED}" if request.is_long else "",
        model_spec=model_spec(request),
        inputs=_inputs_from_file(request) if request.is_long else _inputs(request),
        call=calling,
    )
    return f"{start}\n\n{rest}"


def _source(messages: _Fields) -> str:
    return "\n".join(f"{python_literal(name)}: {_fields_source(fields)}," for name, fields in messages.items())


def _fields_source(fields: Mapping[int, str]) -> str:
    pairs = [f"{number}: {python_literal(field)}" for number, field in fields.items()]
    if len(pairs) < 4:
        return "{" + ", ".join(pairs) + "}"
    lines = [", ".join(pairs[start : start + 3]) for start in range(0, len(pairs), 3)]
    return "{\n" + "".join(f"    {line},\n" for line in lines) + "}"


def _check_dtypes(request: ClientRequest) -> None:
    for key, tensor in request.tensors.items():
        dtype = DType(tensor.dtype)
        if str(dtype) not in _DTYPES:
            raise RequestError(
                f"input {quoted(key)} has the dtype {dtype}, which this small client doesn't write; take python_grpc"
            )


def _inputs(request: ClientRequest) -> str:
    return "\n".join(
        f"write(request.inputs[{python_literal(key)}], {python_literal(str(tensor.dtype))}, {list(tensor.shape)}, "
        f"{python_literal(tensor.flat)})"
        for key, tensor in request.fed.items()
    )


def _inputs_from_file(request: ClientRequest) -> str:
    lines = [LOADED_BODY]
    for key, info in request.signature.inputs.items():
        name, dtype = python_literal(key), python_literal(str(info.dtype.base))
        lines.append(f'values = decoded(body["inputs"][{name}])')
        lines.append(f"write(request.inputs[{name}], {dtype}, shape_of(values), flat(values))")
    return "\n".join(lines)
