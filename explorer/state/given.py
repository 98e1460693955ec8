"""What a person gave for an input or a feature: text that was typed, or a file; and what became of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from explorer.errors import EditError, ExplorerError, RequestError, quoted
from explorer.savedmodel.model import MetaGraph, Signature
from explorer.savedmodel.tensors import Tensor
from explorer.state.telling import sentence
from explorer.state.thumbnails import thumbnail
from explorer.state.typed import parse_value

MOST_FILE_BYTES = 256 << 20
"""A file with more bytes isn't taken: it would have to go through the notebook's connection."""

_LONGEST_TYPED = 16 << 20  # characters
_LONGEST_SUFFIX = 12


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """What was given for one input, or for one feature of its records.

    Attributes:
        text: What was typed.
        file_name: The name of the file that was given instead; empty for none.
        file_data: Its bytes.
        tensor: The last value that fits, for an input.
        value: The same for a feature, as plain data.
        is_used: Whether there is such a value.
        notes: What was done to get there, a sentence each.
        problem: Why what was given last doesn't fit, in a sentence; empty where it does.
        picture: A small picture of an image as a ``data:`` URI; empty for none.
    """

    text: str = ""
    file_name: str = ""
    file_data: bytes = field(default=b"", repr=False)
    tensor: Tensor | None = field(default=None, repr=False)
    value: Any = None
    is_used: bool = False
    notes: tuple[str, ...] = ()
    problem: str = ""
    picture: str = field(default="", repr=False)


def typed_value(text: str, key: str, signature: Signature, meta_graph: MetaGraph, before: Given | None) -> Given:
    """What becomes of a text that was typed for an input.

    Args:
        text: A value as JSON.
        key: The input.
        signature: The signature.
        meta_graph: Where it stands.
        before: What was given before, whose value stays in use where the text doesn't fit.
    """
    try:
        tensor, notes = _tensor(parse_text(text), key, signature, meta_graph, None)
    except ExplorerError as error:
        return _unfitting(text, error, before)
    return Given(text, tensor=tensor, is_used=True, notes=notes)


def typed_feature(
    text: str, name: str, spec: Mapping[str, Any], record: Mapping[str, Any], before: Given | None
) -> Given:
    """What becomes of a text that was typed for a feature of records.

    Args:
        text: A value as JSON, or a list of them.
        name: The feature.
        spec: All features that the model asks for.
        record: A record that fits.
        before: What was given before.
    """
    from explorer.savedmodel.tf_example import example_bytes

    try:
        value = parse_text(text)
        example_bytes({**record, name: value}, spec)
    except ExplorerError as error:
        return _unfitting(text, error, before)
    return Given(text, value=value, is_used=True)


def parse_text(text: str) -> Any:
    """A value that was typed as JSON.

    Raises:
        EditError: It is none.
    """
    if len(text) > _LONGEST_TYPED:
        raise EditError(f"a text of {len(text)} characters is too long to be typed; give it as a .json file")
    return parse_value(text)


def file_value(
    name: str, data: bytes, key: str, signature: Signature, meta_graph: MetaGraph, scale: str | None
) -> Given:
    """What becomes of a file that was given for an input.

    Args:
        name: Its name; the ending says what it is.
        data: Its bytes.
        key: The input.
        signature: The signature.
        meta_graph: Where it stands.
        scale: What the pixels of an image become; None for what is usual.

    Raises:
        RequestError: It doesn't fit.
    """
    with _on_disk(name, data) as path:
        tensor, notes = _tensor(path, key, signature, meta_graph, scale)
    picture = thumbnail(data)
    return Given("", name, data, tensor, None, True, tuple(map(sentence, notes)), "", picture)


def file_values(
    name: str, data: bytes, signature: Signature, meta_graph: MetaGraph, scale: str | None
) -> dict[str, Given]:
    """What becomes of a file that was given for all inputs: input key → value, for those that it holds."""
    from explorer.serving.given_values import read_given

    with _on_disk(name, data) as path:
        found = read_given(signature, path, meta_graph=meta_graph, scale=scale)
    return {key: Given("", name, b"", found.tensors[key], None, True) for key in found.given}


def _tensor(
    value: Any, key: str, signature: Signature, meta_graph: MetaGraph, scale: str | None
) -> tuple[Tensor, tuple[str, ...]]:
    from explorer.serving.given_values import read_given

    info = signature.input(key)
    alone = Signature(signature.key, {key: info}, signature.outputs, signature.method_name)
    found = read_given(alone, {key: value}, meta_graph=meta_graph, scale=scale)
    start = f"input {quoted(key)}: "
    return found.tensors[key], tuple(note.removeprefix(start) for note in found.notes)


def _unfitting(text: str, error: ExplorerError, before: Given | None) -> Given:
    """A text that doesn't fit: the value before it stays in use, so that a request is there while one types."""
    kept = before if before is not None and before.is_used else Given()
    return Given(text, "", b"", kept.tensor, kept.value, kept.is_used, (), sentence(error))


@contextmanager
def _on_disk(name: str, data: bytes) -> Iterator[Path]:
    """A file as a path that readers take, with errors that name it as the person does."""
    if len(data) > MOST_FILE_BYTES:
        raise RequestError(f"{quoted(name)} has {len(data)} bytes; at most {MOST_FILE_BYTES} are taken")
    suffix = Path(name).suffix[:_LONGEST_SUFFIX].lower()
    is_plain = suffix[1:].isascii() and suffix[1:].isalnum()
    with tempfile.TemporaryDirectory(prefix="savedmodel-explorer-file-") as folder:
        path = Path(folder) / f"value{suffix if is_plain else ''}"
        path.write_bytes(data)
        try:
            yield path
        except ExplorerError as error:
            raise RequestError(str(error).replace(quoted(str(path)), quoted(name))) from None


def first_record(texts: Sequence[bytes]) -> dict[str, Any]:
    """The features of the first of some serialized records; none where there is none, or it is no record."""
    from explorer.savedmodel.tf_example import read_example

    try:
        return dict(read_example(texts[0])) if texts else {}
    except ExplorerError:
        return {}
