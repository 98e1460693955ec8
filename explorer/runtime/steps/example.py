"""Serialized ``tf.Example`` records to the inputs of a model, as ``explorer.runtime.example_options`` says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from explorer.errors import quoted
from explorer.runtime.example_options import ExampleOptions, parsed_type
from explorer.runtime.row_inputs import RowInput
from explorer.runtime.steps.casting import cast_exactly


def make_example(options: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any], tuple[str, ...]]:
    """A step from records to the inputs of a model.

    Args:
        options: :meth:`ExampleOptions.to_dict`.

    Raises:
        ExplorerError: These are no such options.
    """
    import tensorflow as tf

    chosen = ExampleOptions.from_dict(options)
    spec = {one.name: _feature(one) for one in chosen.features}

    def explorer_examples_to_inputs(records: Any) -> tuple[Any, ...]:
        parsed = tf.io.parse_example(records, spec)
        return tuple(
            constant(one) if one.is_constant else _value(one, parsed[one.name], chosen.batch) for one in chosen.inputs
        )

    return (
        explorer_examples_to_inputs,
        {chosen.key: tf.TensorSpec([chosen.batch], tf.string)},
        tuple(one.key for one in chosen.inputs),
    )


def make_records(options: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any], tuple[str, ...]]:
    """A step that hands serialized records on, for a model that parses them itself.

    Args:
        options: ``key``, that of the new input, ``input_key``, that of the model's, and ``shape``, that of both.
    """
    import tensorflow as tf

    def explorer_records(records: Any) -> Any:
        return tf.identity(records)

    spec = tf.TensorSpec(options["shape"], tf.string)
    return explorer_records, {options["key"]: spec}, (options["input_key"],)


def constant(one: RowInput) -> Any:
    """What an input gets that has no dimension for a batch."""
    import tensorflow as tf

    return tf.constant(list(one.default or ()), tf.dtypes.as_dtype(one.type_number), shape=list(one.shape))


def _feature(one: RowInput) -> Any:
    import tensorflow as tf

    held = tf.dtypes.as_dtype(parsed_type(one))
    if one.is_variable:
        # Short rows are filled up, and a number of values that doesn't fit the inner sizes is refused by the op.
        return tf.io.FixedLenSequenceFeature(one.shape[1:], held, allow_missing=True, default_value=_held(one.filling))
    default = None if one.default is None else [_held(value) for value in one.default]
    return tf.io.FixedLenFeature(one.shape, held, default if one.shape or default is None else default[0])


def _held(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value


def _value(one: RowInput, parsed: Any, batch: int | None) -> Any:
    import tensorflow as tf

    cast = cast_exactly(parsed, one.type_number, f"feature {quoted(one.name)}")
    return tf.ensure_shape(cast, [batch, *one.shape])
