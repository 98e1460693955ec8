"""Numbers of a row as the dtype that a model wants; one that it can't hold fails where it runs, in words."""

from __future__ import annotations

from typing import Any

from explorer.runtime.row_values import FLOATS, RANGES


def cast_exactly(values: Any, type_number: int, what: str) -> Any:
    """Casts numbers to a dtype.

    Args:
        values: int64, for integers and bool (1 and 0); float32 or float64, for dtypes with fractions; texts stay.
        type_number: The dtype, by its number in ``types.proto``.
        what: What they are, for the sentence of the server: ``input 'age'``.

    Returns:
        The values; a finite float that becomes infinite, and an integer out of range, make the step fail.
    """
    import tensorflow as tf

    dtype = tf.dtypes.as_dtype(type_number)
    if values.dtype == dtype:
        return values
    if type_number in FLOATS:
        cast = tf.cast(values, dtype)
        fits = tf.math.is_finite(tf.cast(cast, values.dtype)) | ~tf.math.is_finite(values)
    elif type_number in RANGES:
        least, largest = RANGES[type_number]
        cast = tf.cast(values, dtype)
        fits = (values >= least) & (values <= largest)
    else:
        return values
    fits = tf.reduce_all(fits)
    return checked(cast, fits, f"a value of {what} is more than {dtype.name} holds")


def checked(values: Any, fits: Any, words: str) -> Any:
    """Values, if something holds; otherwise the step fails with a sentence.

    ``tf.debugging.Assert`` would make the step stateful. Reading a number from the sentence fails with the sentence in
    the message, and its result has to be used: an op that is only waited for is taken away by Grappler if it is
    stateless.

    Args:
        values: Numbers or booleans.
        fits: A boolean scalar.
        words: What is wrong otherwise.
    """
    import tensorflow as tf

    one = tf.strings.to_number(tf.where(fits, "1", words), tf.int32)
    return values & (one == 1) if values.dtype == tf.bool else values * tf.cast(one, values.dtype)
