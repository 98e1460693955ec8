"""How an output becomes the answer to a classify or regress request: what a person chooses, checked.

What the two methods demand is said in :mod:`explorer.checking.method_rules`. Nothing here needs TensorFlow; the traced
steps are in ``explorer.runtime.steps.answers``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from explorer.checking.method_rules import CLASSES, OUTPUTS, SCORES
from explorer.errors import EditError, NotFoundError, SourceError, listed, quoted
from explorer.runtime.row_values import FLOATS
from explorer.savedmodel import constants
from explorer.savedmodel.model import DType, Shape, Signature, TensorInfo
from explorer.savedmodel.records import read_whole

METHOD_NAMES: Final[Mapping[str, str]] = {
    "classify": constants.CLASSIFY_METHOD_NAME,
    "regress": constants.REGRESS_METHOD_NAME,
}
"""Method → what it is called in a signature."""

MOST_LABELS: Final = 1_000_000
_MOST_LABEL_BYTES: Final = 64 << 20

# Words in the names of outputs that hold what a client wants to see, the best first.
_SCORE_WORDS: Final = ("probabilit", "softmax", "probs", "prob", "score", "sigmoid", "confidence", "predict", "class",
                       "output", "logit")  # fmt: skip
_VALUE_WORDS: Final = ("regress", "predict", "value", "output", "score", "logit")


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """What becomes of an output.

    Attributes:
        method: ``"classify"`` or ``"regress"``.
        output_key: The output that is answered with.
        type_number: Its dtype, by its number in ``types.proto``.
        shape: What it declares; of an unknown rank None.
        labels: The names of the classes, in the order of the scores; empty where there are none, and the classes are
            called ``0``, ``1`` …
        reasons: What was chosen, and why; for people.

    Raises:
        EditError: The output can't be such an answer, or there are more or fewer labels than scores.
    """

    method: str
    output_key: str
    type_number: int = constants.DT_FLOAT
    shape: tuple[int | None, ...] | None = None
    labels: tuple[str, ...] = ()
    reasons: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if self.method not in METHOD_NAMES:
            raise NotFoundError("method", self.method, METHOD_NAMES)
        what = f"output {quoted(self.output_key)} is declared {DType(self.type_number)}{Shape(self.shape)}"
        if fault := _fault(self.method, self.type_number, self.shape):
            raise EditError(f"{what}; {fault}")
        if self.labels and self.method == "regress":
            raise EditError("labels name classes, and regress answers a number; leave the labels out, or classify")
        width = None if self.shape is None else self.shape[-1]
        if self.labels and width is not None and width != len(self.labels):
            raise EditError(
                f"{what}, so it has {width} score{'' if width == 1 else 's'} a row, and there are {len(self.labels)} "
                "labels; give one label for each score, in their order"
            )

    @property
    def count(self) -> int | None:
        """How many scores a row has; None where neither the output nor the labels say so."""
        width = None if self.shape is None else self.shape[-1]
        return len(self.labels) or width

    @property
    def asset(self) -> str:
        """The file name of the labels below ``assets/``, empty where there are none: other labels, another name."""
        if not self.labels:
            return ""
        return f"labels_{hashlib.sha256(self.asset_bytes).hexdigest()[:8]}.txt"

    @property
    def asset_bytes(self) -> bytes:
        """The file of the labels: one a line."""
        return "".join(f"{label}\n" for label in self.labels).encode()

    @property
    def method_name(self) -> str:
        """What the method is called in a signature."""
        return METHOD_NAMES[self.method]

    @property
    def answers(self) -> tuple[str, ...]:
        """The keys of the new outputs."""
        return (OUTPUTS,) if self.method == "regress" else (CLASSES, SCORES)

    def to_dict(self) -> dict[str, Any]:
        """As plain data for the traced step, which reads the labels from the asset; the reasons are left out."""
        data = dataclasses.asdict(self)
        del data["reasons"], data["labels"]
        return {**data, "asset": self.asset, "count": self.count}


def answer_options_for(
    signature: Signature,
    method: str,
    output_key: str | None = None,
    labels: str | os.PathLike[str] | Iterable[str] | None = None,
) -> AnswerOptions:
    """The options for an output of a signature.

    Args:
        signature: The signature.
        method: ``classify`` or ``regress``.
        output_key: The output to answer with; None for the one whose name and shape fit best.
        labels: The names of the classes, or the path of a text file with one a line; None for none.

    Raises:
        NotFoundError: The signature hasn't that output, or there is no such method.
        EditError: No output can be such an answer, or the labels don't fit it.
        SourceError: The file of the labels can't be read.
    """
    if method not in METHOD_NAMES:
        raise NotFoundError("method", method, METHOD_NAMES)
    names = () if labels is None else _labels(labels)
    reasons: list[tuple[str, str]] = []
    if output_key is None:
        output_key, reason = _best_output(signature, method, len(names))
        reasons.append(("output", reason))
    info = signature.output(output_key)
    _expect_plain(output_key, info)
    options = AnswerOptions(method, output_key, info.dtype.base.number, info.shape.dims, names)
    if method == "classify":
        twice = len(names) - len(set(names))
        if not names:
            reasons.append((CLASSES, "no labels were given, so the classes are called 0, 1 …"))
        else:
            what = f"{len(names)} labels were given" + (f", {twice} of them more than once" if twice else "")
            reasons.append((CLASSES, what))
    if info.dtype.base.number != constants.DT_FLOAT:
        reasons.append((options.answers[-1], f"{method} answers float32, so {info.dtype} is cast to it"))
    return dataclasses.replace(options, reasons=tuple(reasons))


def read_labels(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """The labels of a text file: UTF-8, one a line.

    Line breaks of Windows and an empty last line are fine, and so is a byte order mark; an empty line between others is
    refused, because it would move all labels below it, or be one that nobody sees.

    Args:
        path: The file.

    Raises:
        SourceError: It can't be read.
        EditError: It is no such file.
    """
    name = os.fspath(path)
    data = read_whole(str(name), _MOST_LABEL_BYTES, "a file of labels")
    if data is None:
        raise SourceError(f"there is no file {quoted(str(name))} with labels", path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise EditError(
            f"{quoted(str(name))} is no text in UTF-8 (line {line}); save the labels as UTF-8, one a line"
        ) from None
    lines = text.replace("\r\n", "\n").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return _checked_labels(lines, f"{quoted(str(name))}")


def answer_words(options: AnswerOptions) -> str:
    """What is done with the output, the rest of a sentence."""
    if options.method == "regress":
        return f"regress answers output {quoted(options.output_key)}, one float32 a row"
    named = f"{len(options.labels)} labels" if options.labels else "0, 1 …"
    return f"output {quoted(options.output_key)} is answered as scores of classes that are called by {named}"


def _labels(labels: str | os.PathLike[str] | Iterable[str]) -> tuple[str, ...]:
    if isinstance(labels, str | os.PathLike):
        return read_labels(labels)
    return _checked_labels(list(labels), "what was given as labels")


def _checked_labels(labels: list[Any], where: str) -> tuple[str, ...]:
    if not labels:
        raise EditError(f"{where} has no labels")
    if len(labels) > MOST_LABELS:
        raise EditError(f"{where} has {len(labels)} labels, more than the {MOST_LABELS} that are taken")
    for number, label in enumerate(labels, 1):
        if not isinstance(label, str):
            raise EditError(f"{where}: label {number} must be text, not {type(label).__name__}")
        if not label.strip():
            raise EditError(f"{where}: label {number} is blank; give a label on every line, one for each score")
        # The server reads lines, and drops carriage returns wherever they stand.
        if "\n" in label or "\r" in label or "\0" in label:
            raise EditError(f"{where}: label {number} has a line break or a null character in it")
        try:
            label.encode()
        except UnicodeEncodeError:
            raise EditError(f"{where}: label {number} is not text that UTF-8 can encode") from None
    return tuple(labels)


def _fault(method: str, type_number: int, dims: tuple[int | None, ...] | None) -> str:
    """Why an output can't be the answer of a method; empty where it can."""
    if type_number not in FLOATS:
        return f"{method} answers floats"
    if method == "classify":
        if dims is not None and len(dims) != 2:
            return "classify answers scores of the shape [batch, classes]" + (
                "; regress answers one number a row" if len(dims) == 1 else ""
            )
        return "classify needs at least one score" if dims is not None and dims[1] == 0 else ""
    if dims is None or len(dims) == 1 or (len(dims) == 2 and dims[1] in (None, 1)):
        return ""
    return "regress answers one number a row, of the shape [batch] or [batch, 1]"


def _expect_plain(output_key: str, info: TensorInfo) -> None:
    if info.tensor_name is None or info.encoding != "name":
        raise EditError(f"output {quoted(output_key)} consists of several tensors ({info.encoding})")


def _best_output(signature: Signature, method: str, count: int) -> tuple[str, str]:
    """The output that fits a method best, and why."""
    fitting = {
        key: info
        for key, info in signature.outputs.items()
        if info.encoding == "name" and not _fault(method, info.dtype.base.number, info.shape.dims)
    }
    if count:  # an output with another number of scores can't be meant, but is named where there is no better one
        same = {
            key: info for key, info in fitting.items() if info.shape.dims is None or info.shape.dims[1] in (None, count)
        }
        fitting = same or fitting
    if not fitting:
        declared = ", ".join(f"{quoted(key)} {info.dtype}{info.shape}" for key, info in signature.outputs.items())
        wanted = "floats of the shape [batch, classes]" if method == "classify" else "a float for each row"
        raise EditError(
            f"signature {quoted(signature.key)} has no output that {method} could answer with, {wanted}; its outputs "
            f"are {declared or 'none'}"
        )
    if len(fitting) == 1:
        key = next(iter(fitting))
        return key, f"{quoted(key)} is the only output that {method} can answer with"
    words = _SCORE_WORDS if method == "classify" else _VALUE_WORDS
    ranked = sorted(fitting, key=lambda key: _rank(key, fitting[key], words))
    best = ranked[0]
    rank = _rank(best, fitting[best], words)
    why = (
        f"of {listed(fitting)} its name fits best" if rank[0] < len(words) else f"it is the first of {listed(fitting)}"
    )
    return best, f"{quoted(best)}: {why}"


def _rank(key: str, info: TensorInfo, words: tuple[str, ...]) -> tuple[int, int]:
    """How well a name fits; of equal ones those with a known rank, then those in the order of the file."""
    text = f"{key} {info.tensor_name or ''}".lower()
    own = next((place for place, word in enumerate(words) if word in key.lower()), None)
    inner = next((place for place, word in enumerate(words) if word in text), len(words))
    return (inner if own is None else own), (1 if info.shape.dims is None else 0)
