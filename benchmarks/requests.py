"""What requests cost: making a large body, reading it back, and an answer of a warm model.

Each is measured against what a person would otherwise write, in turn with it, in one process; the ratio is that of
the medians of wall time, because an answer here is a conversation between two processes::

    python benchmarks/requests.py --check    # status 1 where a claim fails

The body is that of a batch of 32 images of 224 by 224 pixels as float32, 4.8 million numbers. A model that is asked
for an answer is ``sample_models/half_plus_two``; beside it stands ``session.run`` of the same graph, fed with an
array, in this process.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from processes import Claim, printable_claims

import explorer

# Python puts the folder of a script on its path, and TensorFlow would find this file for the library "requests".
sys.path.pop(0)

SHAPE = (32, 224, 224, 3)
MODEL = Path(__file__).resolve().parent.parent / "sample_models" / "half_plus_two"
BODY = b'{"instances": [1.0, 2.0, 5.0]}'

Work = Callable[[], object]


def taken(work: Work) -> float:
    """The seconds that something takes."""
    gc.collect()
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def in_turn(ours: Work, theirs: Work, rounds: int) -> tuple[float, float]:
    """The medians of both in seconds, after a round that doesn't count."""
    pairs = [(taken(ours), taken(theirs)) for _ in range(rounds + 1)][1:]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def image_signature() -> explorer.Signature:
    """A signature that takes a batch of images."""
    image = explorer.TensorInfo(explorer.DType(1), explorer.Shape((None, *SHAPE[1:])), "x:0")
    return explorer.Signature("serving_default", {"x": image}, {"y": image}, "tensorflow/serving/predict")


def bodies(rounds: int) -> dict[str, tuple[float, float]]:
    """Making a body from an array and reading it back, in row and column format."""
    from explorer.serving.bodies import body_text

    array = np.random.default_rng(0).random(SHAPE, dtype=np.float32)
    signature = image_signature()
    found = {}
    for form, key in (("row", "instances"), ("column", "inputs")):

        def make(form: str = form) -> object:
            return body_text(signature, form, {"x": array})

        def dump(key: str = key) -> object:
            return json.dumps({key: array.tolist()})

        found[f"make, {form}"] = in_turn(make, dump, rounds)
        body = json.dumps({key: array.tolist()}).encode()

        def parse(body: bytes = body) -> object:
            return explorer.parse_request(body, signature).inputs["x"].to_numpy()

        def load(body: bytes = body, key: str = key) -> object:
            return np.asarray(json.loads(body)[key], dtype=np.float32)

        np.testing.assert_array_equal(parse(), array)
        found[f"read, {form}"] = in_turn(parse, load, rounds)
    return found


def answers(rounds: int, calls: int) -> tuple[float, float]:
    """An answer of a warm model and the bare run of its graph: the medians of some calls each, in seconds."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    import tensorflow as tf

    model = explorer.open_saved_model(MODEL)
    signature = model.meta_graph().signature("serving_default")
    fed, fetched = signature.inputs["x"].tensor_name, signature.outputs["y"].tensor_name
    values = np.array([1.0, 2.0, 5.0], dtype=np.float32)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session, explorer.rest(MODEL, consent=True) as rest:
        tf.compat.v1.saved_model.load(session, ["serve"], str(model.path))

        def ours() -> None:
            for _ in range(calls):
                rest.predict(BODY)

        def theirs() -> None:
            for _ in range(calls):
                session.run(fetched, {fed: values})

        answered: Any = rest.predict(BODY).json()
        assert answered["predictions"] == session.run(fetched, {fed: values}).tolist()
        ours_s, theirs_s = in_turn(ours, theirs, rounds)
    return ours_s / calls, theirs_s / calls


def claims(found: dict[str, tuple[float, float]]) -> list[Claim]:
    """What is claimed."""
    most = {"make": 1 / 8, "read": 1 / 1.5, "answer": 3.0}
    text = {
        "make": "at least 8 times faster than json.dumps(array.tolist())",
        "read": "at least 1.5 times faster than json.loads and np.asarray",
        "answer": "at most three times the bare session.run",
    }
    return [
        Claim(f"{name}: {text[name.split(',')[0]]}", ours / theirs, most[name.split(",")[0]])
        for name, (ours, theirs) in found.items()
    ]


def printable(found: dict[str, tuple[float, float]]) -> str:
    """The result as a table in text."""
    lines = [f"{'what':16}{'here, ms':>12}{'otherwise, ms':>16}{'ratio':>10}"]
    for name, (ours, theirs) in found.items():
        ratio = f"1/{theirs / ours:.1f}" if ours < theirs else f"{ours / theirs:.2f}"
        lines.append(f"{name:16}{ours * 1e3:12.3f}{theirs * 1e3:16.3f}{ratio:>10}")
    return "\n".join([*lines, *printable_claims(claims(found))])


def main() -> int:
    """Reads the command line, measures and prints.

    Returns:
        1 where ``--check`` was given and a claim fails, else 0.
    """
    parser = argparse.ArgumentParser(description="Time of bodies and answers against json and session.run.")
    parser.add_argument("--rounds", type=int, default=5, help="how often each pair is measured")
    parser.add_argument("--calls", type=int, default=500, help="how many answers a round asks for")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--check", action="store_true", help="leave with status 1 where a claim fails")
    options = parser.parse_args()
    if options.rounds < 1 or options.calls < 1:
        parser.error("at least one round and one call are needed")
    found = bodies(options.rounds)
    found["answer"] = answers(options.rounds, options.calls)
    print(json.dumps(found, indent=2) if options.json else printable(found))
    return 1 if options.check and not all(claim.holds for claim in claims(found)) else 0


if __name__ == "__main__":
    sys.exit(main())
