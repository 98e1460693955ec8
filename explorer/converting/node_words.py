"""What names of nodes say: the words in them, and which words people use for what.

Names are habits, not rules: they only ever add to what the graph itself shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

INPUT: Final = frozenset(
    {"input", "inputs", "image", "images", "img", "x", "feature", "features", "data", "token", "tokens", "ids", "text"}
    | {"texts", "sentence", "sentences", "audio", "wav", "signal", "waveform", "pixels", "frames", "video", "sequence"}
    | {"example", "examples", "query", "question", "contents", "source"}
)
OUTPUT: Final = frozenset(
    {
        "output",
        "outputs",
        "prediction",
        "predictions",
        "predict",
        "predicted",
        "pred",
        "preds",
        "prob",
        "probs",
        "logit",
    }
    | {"probability", "probabilities", "proba", "logits", "softmax", "sigmoid", "score", "scores", "box", "boxes"}
    | {"detection", "detections", "classes", "class", "result", "results", "answer", "embedding", "embeddings", "mask"}
    | {"masks", "heatmap", "heatmaps", "segmentation", "reconstruction", "decoded", "generated", "yhat", "hypothesis"}
)
LABEL: Final = frozenset({"label", "labels", "groundtruth", "annotation", "annotations", "ytrue", "gt", "y_"})
MAYBE_LABEL: Final = frozenset({"y", "ys", "target", "targets", "truth", "true", "expected", "answers", "weights"})
LOSS: Final = frozenset(
    {
        "loss",
        "losses",
        "cost",
        "costs",
        "xent",
        "xentropy",
        "crossentropy",
        "accuracy",
        "acc",
        "metric",
        "metrics",
        "mse",
        "rmse",
        "mae",
    }
    | {"error", "perplexity", "regularizer", "regularization", "regularisation", "penalty", "evaluation", "precision"}
    | {"recall", "auc"}
)
_TELLING: Final = frozenset({"Softmax", "Sigmoid", "LogSoftmax", "ArgMax", "Tanh"})
"""Ops whose names are better keys than the names of most scopes."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|y_(?![a-z])")
_TOGETHER = re.compile(r"([Cc]ross|[Gg]round)_?([Ee]ntropy|[Tt]ruth)")
_SAVER = re.compile(r"(?:.*/)?save(?:r?_\d+)?/(?:filename|Const)|(?:.*/)?saver_filename")
_NUMBER = re.compile(r"_\d+$")


def words(text: str) -> tuple[str, ...]:
    """The words of a name in small letters: ``dropout_keepProb_1`` has dropout, keep and prob."""
    return _words(text[:200])


@lru_cache(maxsize=4096)
def _words(text: str) -> tuple[str, ...]:
    joined = _TOGETHER.sub(r"\1\2", text)
    return tuple(word.lower() for word in _WORD.findall(joined))


def last_part(name: str) -> str:
    """What stands behind the last slash, and before a number that was only added to make it unique."""
    return _NUMBER.sub("", name.rpartition("/")[2])


def says(name: str, wanted: Iterable[str]) -> bool:
    """Whether the last part of a name has one of some words."""
    return not frozenset(words(last_part(name))).isdisjoint(wanted)


def scope_says(name: str, wanted: Iterable[str]) -> bool:
    """Whether any of the scopes that a name stands in has one of some words."""
    return not frozenset(words(name.rpartition("/")[0])).isdisjoint(wanted)


def is_saver_file(name: str) -> bool:
    """Whether a node holds the name of the file that a saver writes or reads."""
    return _SAVER.fullmatch(name) is not None


def plain_key(name: str, index: int, op: str) -> str:
    """A key for a signature: the node's own name, or that of its scope where its own only repeats the op.

    Args:
        name: The node's name.
        index: Which of its outputs.
        op: Its op.
    """
    scope, _, own = name.rpartition("/")
    chosen = own
    if scope and last_part(own).lower() == op.lower() and (op not in _TELLING or says(scope, OUTPUT | INPUT)):
        chosen = scope.rpartition("/")[2]
    made = re.sub(r"\W+", "_", chosen, flags=re.ASCII).strip("_") or "tensor"
    if made[0].isdigit():
        made = f"tensor_{made}"
    return made if index == 0 else f"{made}_{index}"


def unique_keys(keys: Iterable[str]) -> list[str]:
    """The same keys, those that come again with a number behind."""
    taken: dict[str, int] = {}
    found = []
    for key in keys:
        made, number = key, taken.get(key, 0)
        while made in taken:
            number += 1
            made = f"{key}_{number}"
        taken[key] = number
        taken.setdefault(made, 0)
        found.append(made)
    return found
