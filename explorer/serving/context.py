"""tf.Examples in requests: the features that all of them share, as ``context`` in classify and regress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from explorer.errors import RequestError, quoted
from explorer.savedmodel.model import Signature
from explorer.savedmodel.tensors import Tensor
from explorer.serving.example_values import example_record, random_of
from explorer.serving.given_values import GivenValues

if TYPE_CHECKING:
    from explorer.savedmodel.feature_spec import Feature


def merged(records: Tensor, context: bytes) -> Tensor:
    """Records with the context before each of them.

    The server joins the bytes (``example_parser_util``, ``InputToSerializedExampleTensor``), and of a feature that
    stands in both protobuf takes the later, the record's.
    """
    return replace(records, texts=tuple(context + record for record in records.texts))


def with_context(
    signature: Signature,
    given: GivenValues,
    specs: Mapping[str, Mapping[str, Feature]],
    context: Mapping[str, Any],
    kind: str,
    seed: int,
) -> tuple[dict[str, Tensor], bytes]:
    """Makes the context, and takes its features out of the records that were made up.

    Args:
        signature: The signature.
        given: Its values.
        specs: Input key → the features that are parsed from it.
        context: Feature name → value.
        kind: What records that nobody gave are made of.
        seed: For random ones.

    Returns:
        The values, and the context as a serialized tf.Example.

    Raises:
        NotFoundError: The model parses no such feature.
        RequestError: The signature parses no records, or a value doesn't fit.
    """
    from explorer.savedmodel.tf_example import example_bytes

    if not specs:
        raise RequestError(
            f"signature {quoted(signature.key)} parses no tf.Examples, so there is nothing that a context is for"
        )
    known = {name: feature for spec in specs.values() for name, feature in spec.items()}
    asked = {name: feature for name, feature in known.items() if name in context}
    shared = example_bytes(context, asked if set(asked) == set(context) else known)
    tensors = dict(given.tensors)
    random = random_of(kind, seed)
    for key, spec in specs.items():
        if key not in given.given:
            rest = {name: feature for name, feature in spec.items() if name not in context}
            texts = tuple(example_record(rest, kind, random) for _ in tensors[key].texts)
            tensors[key] = replace(tensors[key], texts=texts)
    return tensors, shared
