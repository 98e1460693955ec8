"""Writes ``keras_classes.json``: what a file of Keras may name without anything of its own being run.

``python -m explorer.runtime.make_keras_classes`` makes it anew from the Keras, tf_keras and TensorFlow that are
installed; read the difference before it is committed, for every name in it is one that a file may call.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

TARGET = Path(__file__).with_name("keras_classes.json")

_FAMILIES = (
    "activations", "constraints", "dtype_policies", "initializers", "layers", "layers.experimental",
    "layers.experimental.preprocessing", "losses", "metrics", "mixed_precision", "models", "optimizers",
    "optimizers.experimental", "optimizers.legacy", "optimizers.schedules", "quantizers", "regularizers",
)  # fmt: skip
"""The public modules whose classes are parts of models."""

_FUNCTIONS = ("activations", "losses", "metrics")

_REFUSED = frozenset(
    {"Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "InstanceMethod", "InstanceProperty"}
    | {"ClassMethod", "TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "ModuleWrapper", "ReloadedLayer"}
    | {"ResidualWrapper", "DropoutWrapper", "DeviceWrapper"}  # a function of theirs may be bytecode in the config
    | {"DenseFeatures", "SequenceFeatures", "FeatureSpace", "DynamicEmbedding", "DynamicLookup"}  # they name files
    | {"Map", "Scan", "AssociativeScan", "Cond", "WhileLoop", "ForiLoop", "VectorizedMap", "Switch", "CustomGradient"}
    | {"Function", "Vectorize", "Merge", "deserialize", "serialize", "get"}
)
"""What runs code, loads files or calls a method by name; :mod:`explorer.runtime.keras_config` judges some by itself."""

_SYMBOL_FAMILIES = (
    "bitwise", "dtypes", "image", "linalg", "math", "nn", "quantization", "signal", "strings", "__operators__",
)  # fmt: skip

_TOP_SYMBOLS = (
    "abs", "add", "add_n", "argmax", "argmin", "argsort", "batch_to_space", "bitcast", "boolean_mask",
    "broadcast_dynamic_shape", "broadcast_static_shape", "broadcast_to", "cast", "clip_by_global_norm",
    "clip_by_norm", "clip_by_value", "complex", "concat", "constant", "convert_to_tensor", "cos", "cumsum", "divide",
    "dynamic_partition", "dynamic_stitch", "edit_distance", "einsum", "ensure_shape", "equal", "exp", "expand_dims",
    "eye", "fill", "floor", "gather", "gather_nd", "greater", "greater_equal", "identity", "less", "less_equal",
    "linspace", "logical_and", "logical_not", "logical_or", "matmul", "maximum", "meshgrid", "minimum", "multiply",
    "negative", "norm", "not_equal", "one_hot", "ones", "ones_like", "pad", "parallel_stack", "pow", "range", "rank",
    "realdiv", "reduce_all", "reduce_any", "reduce_logsumexp", "reduce_max", "reduce_mean", "reduce_min",
    "reduce_prod", "reduce_sum", "repeat", "reshape", "reverse", "reverse_sequence", "roll", "round",
    "saturate_cast", "scatter_nd", "searchsorted", "sequence_mask", "shape", "shape_n", "sigmoid", "sign", "sin",
    "size", "slice", "sort", "space_to_batch", "space_to_batch_nd", "split", "sqrt", "square", "squeeze", "stack",
    "stop_gradient", "strided_slice", "subtract", "tan", "tanh", "tensor_scatter_nd_add", "tensor_scatter_nd_max",
    "tensor_scatter_nd_min", "tensor_scatter_nd_sub", "tensor_scatter_nd_update", "tensordot", "tile", "transpose",
    "truncatediv", "truncatemod", "unique", "unique_with_counts", "unravel_index", "unstack", "where", "zeros",
    "zeros_like",
)  # fmt: skip
"""Functions of TensorFlow that only compute: none reads a file, none calls Python, none takes a function."""

_REFUSED_SYMBOLS = frozenset({"nn.experimental.general_dropout", "math.load_library"})


def main() -> None:
    """Writes the file."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    import tensorflow as tf

    tf_keras = importlib.import_module("tf_keras")

    classes = {
        "Functional",
        "LayerScale",
        "StochasticDepth",
        *(name for root in (keras, tf_keras) for name in _public(root)),
    }
    operations = {cls.__name__ for cls in _subclasses(keras.Operation, "keras.src.ops")}
    functions = {
        name
        for root in (keras, tf_keras)
        for family in _FUNCTIONS
        for name, value in vars(getattr(root, family)).items()
        if not name.startswith("_") and callable(value) and not isinstance(value, type)
    }
    found = {
        "classes": sorted(classes - _REFUSED),
        "operations": sorted(operations - _REFUSED),
        "functions": sorted(functions - _REFUSED),
        "symbols": sorted(set(_symbols(tf)) - _REFUSED_SYMBOLS),
        "versions": {"keras": keras.__version__, "tf_keras": tf_keras.__version__, "tensorflow": tf.__version__},
    }
    TARGET.write_text(json.dumps(found, indent=0) + "\n", encoding="utf-8")


def _public(root: ModuleType) -> Iterator[str]:
    """Names of classes as the public modules have them: aliases too."""
    for family in ("", *_FAMILIES):
        module: Any = root
        for part in filter(None, family.split(".")):
            module = getattr(module, part, None)
        for name, value in vars(module).items() if module is not None else ():
            if isinstance(value, type) and hasattr(value, "from_config"):
                yield name


def _subclasses(root: type, package: str) -> Iterator[type]:
    pending = [root]
    while pending:
        cls = pending.pop()
        pending += cls.__subclasses__()
        if cls.__module__.startswith(package) and not cls.__name__.startswith("_"):
            yield cls


def _symbols(tensorflow: Any) -> Iterator[str]:
    """The names that ``TFOpLambda`` writes for functions of TensorFlow."""
    from tensorflow.python.util.tf_export import get_canonical_name_for_symbol

    for root in (tensorflow, tensorflow.compat.v1):
        for family in _SYMBOL_FAMILIES:
            for value in vars(getattr(root, family, ModuleType("none"))).values():
                if callable(value) and not isinstance(value, type):
                    yield from filter(None, [get_canonical_name_for_symbol(value, add_prefix_to_v1_names=True)])
        for name in _TOP_SYMBOLS:
            if (value := getattr(root, name, None)) is not None:
                yield from filter(None, [get_canonical_name_for_symbol(value, add_prefix_to_v1_names=True)])


if __name__ == "__main__":
    main()
