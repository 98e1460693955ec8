"""A picture as a model sees it, and which pictures TensorFlow can't decode: the traced step, run in a child process.

Only our own step runs, on the picture, so no model has to be trusted for it; the decoders of TensorFlow get bytes that
nobody vouches for, which is why they do so behind the fence of the child.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.errors import FormatError, RequestError, RunError, quoted
from explorer.runtime.child import NEEDS_TENSORFLOW, NO_TENSORFLOW, child_folder, printable_words, run_child
from explorer.runtime.image_heads import ImageHead, read_head, what_else
from explorer.runtime.image_options import ImageOptions
from explorer.runtime.png import png_of
from explorer.runtime.preview_child import ANSWERS_FILE, PLAN_FILE
from explorer.savedmodel.tensors import Tensor

if TYPE_CHECKING:
    import numpy as np

TIMEOUT_S = 180.0
"""How long the child may take, in seconds; importing TensorFlow is nearly all of it."""

WARNING = (
    "One picture that can't be decoded fails the whole batch on a server and, where the server puts the requests of "
    "several clients into one batch, theirs too."
)
"""What everybody should know who sends pictures."""

MOST_PIXELS = 50_000_000
"""A picture with more pixels is not decoded here: a file of a few kilobytes can claim any number of them."""

_MOST_FILE_BYTES = 100_000_000
_MOST_ANSWER_BYTES = 1 << 26
_FRAMES = re.compile(r"\{\{[^{}]*\}\}|\[\[.*|\[Op:[^\]]*\].*")
"""What TensorFlow puts around the words of an op: in which node they fell."""


@dataclass(frozen=True, slots=True)
class ModelView:
    """A picture as a model sees it.

    Attributes:
        pixels: What the model is fed for this picture, without a dimension for several; of ``bfloat16`` its values as
            float32.
        png: The same to look at, brought back to 0 to 255: a PNG file.
        format: What the picture was: ``"JPEG"``, ``"PNG"``, ``"GIF"`` or ``"BMP"``.
        size: How large it was: height and width in pixels.
        notes: What becomes of it, where that may surprise.
    """

    pixels: np.ndarray[Any, Any]
    png: bytes
    format: str
    size: tuple[int, int]
    notes: tuple[str, ...]


def as_the_model_sees(
    options: ImageOptions,
    image_bytes: bytes,
    *,
    name: str = "",
    timeout_s: float = TIMEOUT_S,
    cancel: threading.Event | None = None,
) -> ModelView:
    """Runs the step on one picture.

    Args:
        options: What is done with it.
        image_bytes: Its file; not base64, even where the options say so: it is encoded for the step.
        name: What it is called in sentences.
        timeout_s: How long it may take, in seconds.
        cancel: Ends it when it is set.

    Raises:
        RequestError: It can't be decoded.
        RunError: TensorFlow isn't installed, or took too long.
        RunCancelledError: ``cancel`` was set.
    """
    (view,) = views_of(options, [(name, image_bytes)], timeout_s=timeout_s, cancel=cancel)
    if isinstance(view, str):
        raise RequestError(view)
    return view


def views_of(
    options: ImageOptions,
    images: Sequence[tuple[str, bytes]],
    *,
    timeout_s: float = TIMEOUT_S,
    cancel: threading.Event | None = None,
) -> tuple[ModelView | str, ...]:
    """Runs the step on several pictures, each by itself, in one child process.

    Args:
        options: What is done with them.
        images: The name and the file of each.
        timeout_s: How long all of it may take, in seconds.
        cancel: Ends it when it is set.

    Returns:
        For each what the model sees, or a sentence that says why it can't be decoded.

    Raises:
        RunError: TensorFlow isn't installed, or took too long.
        RunCancelledError: ``cancel`` was set.
    """
    heads = [_head(data) for _, data in images]
    answers = _answers(options, images, heads, timeout_s, cancel, True)
    found: list[ModelView | str] = []
    for position, ((name, _), head) in enumerate(zip(images, heads, strict=True)):
        answer = answers[position] if isinstance(head, ImageHead) else head
        if isinstance(answer, str) or isinstance(head, str):
            found.append(_sentence(position, len(images), name, str(answer)))
        else:
            found.append(_view(options, head, answer))
    return tuple(found)


def check_images(
    images: Sequence[tuple[str, bytes]],
    options: ImageOptions | None = None,
    *,
    decode: bool = True,
    timeout_s: float = TIMEOUT_S,
    cancel: threading.Event | None = None,
) -> list[str]:
    """Which pictures of a batch can't be decoded, before it is sent.

    Args:
        images: The name and the file of each.
        options: What the model gets; None for plain colours. A few pictures can be decoded to colours, not to grey.
        decode: Whether TensorFlow is to decode each, in a child process; otherwise only their beginnings are looked at.
        timeout_s: How long that may take, in seconds.
        cancel: Ends it when it is set.

    Returns:
        A sentence for each that can't.

    Raises:
        RunError: TensorFlow isn't installed, or took too long.
        RunCancelledError: ``cancel`` was set.
    """
    heads = [_head(data) for _, data in images]
    answers: Mapping[int, Tensor | str] = {}
    if decode:
        answers = _answers(options or ImageOptions(1, 1), images, heads, timeout_s, cancel, False)
    faults = {position: head for position, head in enumerate(heads) if isinstance(head, str)}
    faults.update({position: answer for position, answer in answers.items() if isinstance(answer, str)})
    return [_sentence(position, len(images), images[position][0], faults[position]) for position in sorted(faults)]


def _head(data: bytes) -> ImageHead | str:
    """What a file says, or why it isn't decoded: the rest of a sentence."""
    if len(data) > _MOST_FILE_BYTES:
        return f"has {len(data)} bytes, and at most {_MOST_FILE_BYTES} are decoded here"
    head = read_head(data)
    if head is None:
        return what_else(data)
    if head.height * head.width > MOST_PIXELS:
        return f"has {head.width}×{head.height} pixels, and at most {MOST_PIXELS} are decoded here: make it smaller"
    return head


def _sentence(position: int, count: int, name: str, words: str) -> str:
    shown = "the image" if count == 1 else f"image {position + 1} of {count}"
    return f"{shown}{f' ({quoted(name)})' if name else ''} can't be decoded: it {words}"


def _answers(
    options: ImageOptions,
    images: Sequence[tuple[str, bytes]],
    heads: Sequence[ImageHead | str],
    timeout_s: float,
    cancel: threading.Event | None,
    is_whole: bool,
) -> dict[int, Tensor | str]:
    """What the step makes of each picture that has a head, or the rest of a sentence that says why nothing."""
    waiting = [position for position, head in enumerate(heads) if isinstance(head, ImageHead)]
    found: dict[int, Tensor | str] = {}
    deadline_s = time.monotonic() + timeout_s
    with child_folder() as folder:
        for position in waiting:
            data = images[position][1]
            (folder / f"{position}.image").write_bytes(base64.b64encode(data) if options.base64 else data)
        plan = {"options": options.to_dict(), "is_whole": is_whole}
        while waiting:  # a picture that brings the child down is left out of the next one
            (folder / PLAN_FILE).write_text(json.dumps({**plan, "images": waiting}), encoding="utf-8")
            ended = run_child(
                "explorer.runtime.preview_child", [], folder,
                timeout_s=max(0.0, deadline_s - time.monotonic()), cancel=cancel,
            )  # fmt: skip
            if ended.status == NO_TENSORFLOW:
                raise RunError(NEEDS_TENSORFLOW)
            told = _told(folder, heads)
            if ended.status != 0 and not told.get("begun"):
                raise RunError(f"the pictures can't be looked at: the child process {ended.cause}")
            found.update(told["answers"])
            waiting = [position for position in waiting if position not in found]
            if waiting and ended.status == 0:
                raise RunError("the pictures can't be looked at: the child process told nothing about some of them")
            if waiting:
                found[waiting.pop(0)] = f"brings TensorFlow down: the child process {ended.cause}"
    return found


def _told(folder: Path, heads: Sequence[ImageHead | str]) -> dict[str, Any]:
    """What the child told: ``begun``, and what came of each picture."""
    try:
        with (folder / ANSWERS_FILE).open("rb") as file:
            lines = file.read(_MOST_ANSWER_BYTES).splitlines()
    except OSError:
        return {"begun": False, "answers": {}}
    answers: dict[int, Tensor | str] = {}
    for line in lines:
        try:
            told = json.loads(line)
            position, words = told["image"], told["error"]
        except (ValueError, KeyError, TypeError):  # the line that says it has begun, or one that a crash broke off
            continue
        head = heads[position] if isinstance(position, int) and 0 <= position < len(heads) else ""
        if isinstance(head, str):
            raise RunError("what the child process told can't be understood: it names a picture that wasn't given")
        if words is None:
            answers[position] = _tensor(folder / f"{position}.tensor")
        else:
            said = printable_words(" ".join(_FRAMES.sub(" ", str(words)).split()))
            answers[position] = f"begins as a {head.format}, and TensorFlow says: {said}"
    return {"begun": True, "answers": answers}


def _tensor(path: Path) -> Tensor:
    try:
        return Tensor.read(path)
    except FormatError as error:
        raise RunError(f"what the child process made of a picture can't be read: {error}") from None


def _view(options: ImageOptions, head: ImageHead, answer: Tensor) -> ModelView:
    if answer.shape != options.picture_shape or answer.dtype != options.type_number:
        raise RunError("what the child process made of a picture hasn't the shape that was asked for")
    pixels = answer.to_array()
    return ModelView(pixels, png_of(_to_look_at(pixels, options)), head.format, (head.height, head.width), head.notes)


def _to_look_at(pixels: np.ndarray[Any, Any], options: ImageOptions) -> np.ndarray[Any, Any]:
    """Values of the model brought back to uint8[height, width, channels], red first."""
    import numpy as np

    shown = pixels.astype(np.float64)
    if options.channels == "none":
        shown = shown[:, :, np.newaxis]
    elif options.channels == "first":
        shown = np.moveaxis(shown, 0, 2)
    scale = options.numbers
    shown = (shown * np.array(scale.std) + np.array(scale.mean)) * scale.divide
    if options.colours == "bgr":
        shown = shown[:, :, ::-1]
    whole: np.ndarray[Any, Any] = np.clip(np.rint(np.nan_to_num(shown)), 0, 255).astype(np.uint8)
    return whole
