"""What the child process does: runs the image step on pictures, one after the other, or only decodes them.

The plan is ``plan.json`` in the working directory, the pictures are ``<number>.image``; what comes of one is a line of
``answers.jsonl`` as soon as it is known, and ``<number>.tensor``.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from explorer.runtime.child import NO_TENSORFLOW
from explorer.runtime.run_models import words

PLAN_FILE = "plan.json"
ANSWERS_FILE = "answers.jsonl"


def main(arguments: Sequence[str]) -> int:
    """Runs the plan; it takes no arguments."""
    if importlib.util.find_spec("tensorflow") is None:
        return NO_TENSORFLOW
    plan = json.loads(Path(PLAN_FILE).read_text(encoding="utf-8"))
    run = _step(plan["options"], bool(plan["is_whole"]))
    with Path(ANSWERS_FILE).open("a", encoding="utf-8") as answers:

        def tell(**told: Any) -> None:
            answers.write("\n" + json.dumps(told) + "\n")  # the first ends a line that a crash broke off
            answers.flush()
            os.fsync(answers.fileno())

        tell(begun=True)
        for number in plan["images"]:
            tell(image=number, error=_looked_at(number, run))
    return 0


def _step(options: dict[str, Any], is_whole: bool) -> Callable[[bytes], Any]:
    """The step as a function of one picture; where only its decoding matters, that part of it."""
    import tensorflow as tf

    from explorer.runtime.image_options import ImageOptions
    from explorer.runtime.steps.image import decoded, make_image
    from explorer.runtime.steps.text_encoding import decoded as decoded_base64

    chosen = ImageOptions.from_dict(options)
    if not is_whole:
        spec = tf.TensorSpec([], tf.string)

        def decode(data: Any) -> Any:
            return decoded(decoded_base64(data) if chosen.base64 else data, chosen.colours)

        only_decoded: Callable[[bytes], Any] = tf.function(decode, input_signature=[spec], autograph=False)
        return only_decoded
    function, inputs, _ = make_image(options)
    step: Callable[..., Any] = tf.function(function, input_signature=list(inputs.values()), autograph=False)
    if not chosen.is_batched:
        return step
    copies = chosen.batch or 1
    return lambda data: step(tf.constant([data] * copies))[0]


def _looked_at(number: int, run: Callable[[bytes], Any]) -> str | None:
    """Runs it on a picture and writes what came of it; gives why nothing came, or None."""
    import tensorflow as tf

    from explorer.savedmodel.tensors import Tensor

    try:
        pixels = run(Path(f"{number}.image").read_bytes())
    except tf.errors.OpError as error:
        return words(error)
    value = pixels.numpy()
    Tensor(int(pixels.dtype.as_datatype_enum), value.shape, value.tobytes()).write(Path(f"{number}.tensor"))
    return None
