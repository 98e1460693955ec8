"""Makes the small steps of this folder: functions that TensorFlow traced, for tests that have no TensorFlow.

Run it in the repository: ``python tests/fixtures_steps/make_steps.py``. Equal functions give equal files.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from explorer.editing.steps import Step, step_to_bytes
from explorer.runtime.steps.trace_child import Made, traced

FOLDER = Path(__file__).parent


def number_step(shape: list[int | None] | None, dtype: Any = tf.float32, key: str = "text") -> Step:
    """Text to numbers of some dtype."""

    def explorer_number(texts: Any) -> Any:
        return tf.cast(tf.strings.to_number(texts, tf.float64), dtype)

    return traced(Made(explorer_number, {key: tf.TensorSpec(shape, tf.string)}, ("number",)))


def row_step(width: int) -> Step:
    """A line of numbers for each row, as ``"1 2 3"``: a function for each row, and one of several in it."""

    def one_row(line: Any) -> Any:
        numbers = tf.strings.to_number(tf.strings.split(line, " "), tf.float32)
        numbers = tf.switch_case(
            tf.cast(tf.equal(tf.strings.substr(line, 0, 1), "-"), tf.int32), [lambda: numbers, lambda: numbers * 1.0]
        )
        return tf.ensure_shape(numbers, [width])

    def explorer_row(lines: Any) -> Any:
        return tf.map_fn(one_row, lines, fn_output_signature=tf.TensorSpec([width], tf.float32))

    return traced(Made(explorer_row, {"line": tf.TensorSpec([None], tf.string)}, ("row",)))


def pair_step() -> Step:
    """A line to two numbers: one step that feeds two inputs."""

    def explorer_pair(lines: Any) -> Any:
        return tuple(tf.io.decode_csv(lines, [0.0, 0.0]))

    return traced(Made(explorer_pair, {"line": tf.TensorSpec([None], tf.string)}, ("first", "second")))


def name_step(shape: list[int | None] | None, asset: str = "labels.txt") -> Step:
    """Scores to the name of the largest one, which is a line of a file."""

    def explorer_name(scores: Any, table: Any) -> Any:
        best = tf.argmax(scores, -1)
        return tf.raw_ops.LookupTableFindV2(table_handle=table, keys=best, default_value=tf.constant("unknown"))

    return traced(Made(explorer_name, {"scores": tf.TensorSpec(shape, tf.float32)}, ("name",), (asset,)))


def double_step(shape: list[int | None] | None) -> Step:
    """Scores to twice the scores."""

    def explorer_double(scores: Any) -> Any:
        return scores * 2.0

    return traced(Made(explorer_double, {"scores": tf.TensorSpec(shape, tf.float32)}, ("doubled",)))


STEPS: Mapping[str, Callable[[], Step]] = {
    "number": lambda: number_step([None]),
    "number_any": lambda: number_step(None),
    "row": lambda: row_step(3),
    "pair": pair_step,
    "name": lambda: name_step([None, None]),
    "name_any": lambda: name_step(None),
    "double": lambda: double_step(None),
}
"""Name of a file → the step in it."""


def main() -> int:
    """Writes the files."""
    for name, make in STEPS.items():
        (FOLDER / f"{name}.json").write_bytes(step_to_bytes(make()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
