"""An output of a model to the answer of a classify or regress request, as ``explorer.runtime.answer_options`` says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from explorer.checking.method_rules import CLASSES, OUTPUTS, SCORES
from explorer.errors import quoted
from explorer.runtime.steps.casting import cast_exactly
from explorer.savedmodel import constants


def make_classify(options: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any], tuple[str, ...], tuple[str, ...]]:
    """A step from scores to scores and the names of their classes.

    Args:
        options: :meth:`explorer.runtime.answer_options.AnswerOptions.to_dict`.
    """
    import tensorflow as tf

    key, asset, count = options["output_key"], options["asset"], options["count"]

    def explorer_scores_to_classes(scores: Any, *tables: Any) -> tuple[Any, Any]:
        scores = tf.ensure_shape(_floats(scores, key), [None, count])
        numbers = tf.range(tf.shape(scores, tf.int64)[1])
        if tables:
            names = tf.raw_ops.LookupTableFindV2(table_handle=tables[0], keys=numbers, default_value="")
        else:
            names = tf.strings.as_string(numbers)
        return tf.broadcast_to(names, tf.shape(scores)), scores

    return explorer_scores_to_classes, {key: _spec(options)}, (CLASSES, SCORES), (asset,) if asset else ()


def make_regress(options: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any], tuple[str, ...]]:
    """A step from an output to one number a row.

    Args:
        options: As for :func:`make_classify`.
    """
    import tensorflow as tf

    key = options["output_key"]

    def explorer_output_to_regression(values: Any) -> Any:
        # Of a rank that isn't declared, more than one number a row fails here.
        return tf.reshape(_floats(values, key), tf.shape(values)[:1])

    return explorer_output_to_regression, {key: _spec(options)}, (OUTPUTS,)


def _spec(options: Mapping[str, Any]) -> Any:
    import tensorflow as tf

    return tf.TensorSpec(options["shape"], tf.dtypes.as_dtype(options["type_number"]))


def _floats(values: Any, key: str) -> Any:
    return cast_exactly(values, constants.DT_FLOAT, f"output {quoted(key)}")
