"""The request to the chosen signature: its values, given or made up, and what they are in every protocol.

One set of values stands behind all: what is typed for an input, or dropped on it as a file, is in the body of REST, in
the bytes of gRPC and in the code of every client at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import traitlets

from explorer.errors import ExplorerError, NotFoundError, RequestError, quoted
from explorer.savedmodel.model import MetaGraph, SavedModel, Signature, frozen
from explorer.savedmodel.tensors import Tensor
from explorer.serving.bodies import body_format
from explorer.serving.example_values import KINDS
from explorer.serving.images import SCALES
from explorer.serving.requests import PROTOCOLS
from explorer.serving.snippets import served_name
from explorer.serving.values import filled_shape
from explorer.state.given import Given, file_value, file_values, first_record, typed_feature, typed_value
from explorer.state.shown import ShownState
from explorer.state.telling import Held, intent

if TYPE_CHECKING:
    from explorer.savedmodel.feature_spec import Feature
    from explorer.serving.requests import Requests

SHOWN_PROTOCOLS = ("rest_row", "rest_column", "classify", "regress", "curl", "grpc_text", "grpc", "kserve")
"""What a request is shown as, in this order; ``curl`` is the REST request as a command."""

_MOST_ELEMENTS = 20_000_000
_FORMATS = {"rest_row": "row", "rest_column": "column"}

Place = tuple[int, str, str, str]
"""Where a value is given: meta graph, signature key, input key, and feature name or an empty text."""


class RequestsState(ShownState):
    """The part of the state that says what is sent.

    Undo leaves all of it alone: it is about the model.

    Attributes:
        values_kind: What inputs get that nothing was given for: ``"zeros"``, ``"ones"`` or ``"random"``.
        batch: Their batch size; None takes that of the given values, or 1.
        seed: What random values come from.
        scale: What the pixels of images become: ``"0..1"``, ``"-1..1"``, ``"0..255"``; None for what is usual.
        protocol: What the request is shown as, one of ``SHOWN_PROTOCOLS``; empty for the one that fits.
        given: What was given, by its place.
    """

    values_kind = traitlets.Enum(KINDS, "zeros")
    batch = traitlets.Int(None, allow_none=True)
    seed = traitlets.Int(0)
    scale = traitlets.Enum((*SCALES, None), None)
    protocol = traitlets.Unicode()
    given = Held(frozen({}))

    _made: tuple[tuple[object, ...], Requests] | None = None
    _read_specs: tuple[Signature, Mapping[str, Mapping[str, Feature]]] | None = None

    @intent
    def choose_values(self, kind: str = "zeros", batch: int | None = None, seed: int = 0) -> None:
        """Fills all inputs of the chosen signature anew; what was given for them is forgotten.

        Args:
            kind: ``"zeros"``, ``"ones"`` or ``"random"``.
            batch: How many examples; None for one.
            seed: The same seed gives the same random values.
        """
        _, signature = self._asked()
        if kind not in KINDS:
            raise RequestError(f"there are no example values {quoted(str(kind))}; they are 'zeros', 'ones' or 'random'")
        if batch is not None:
            _check_batch(signature, batch)
        self.values_kind, self.batch, self.seed = kind, batch, seed
        place = self._place_of("", "")
        self.given = frozen({key: one for key, one in self.given.items() if key[:2] != place[:2]})

    @intent
    def set_value(self, key: str, text: str, feature: str = "") -> None:
        """Gives an input, or a feature of its records, a value that is written as JSON; an empty text takes it back.

        A text that doesn't fit leaves the value before it in use; ``problems`` says why.
        """
        meta_graph, signature = self._asked()
        signature.input(key)
        place = self._place_of(key, feature)
        before = self.given.get(place)
        if not text.strip():
            self._give({place: None})
        elif not feature:
            self._give({place: typed_value(text, key, signature, meta_graph, before)})
        else:
            spec = self.features(key)
            if feature not in spec:
                raise NotFoundError("feature", feature, spec)
            self._give({place: typed_feature(text, feature, spec, self.record(key), before)})

    @intent
    def take_file(self, key: str | None, name: str, data: bytes) -> None:
        """Gives an input the content of a file: an image, .npy, .json, .csv, or any file as its bytes.

        Args:
            key: The input; None where the file holds several inputs, by their names.
            name: The file's name, whose ending says what it is.
            data: Its bytes.
        """
        meta_graph, signature = self._asked()
        if key is None:
            found = file_values(name, data, signature, meta_graph, self.scale)
            self._give({self._place_of(one, ""): given for one, given in found.items()})
            return
        signature.input(key)
        changed: dict[Place, Given | None] = {
            place: None for place in self.given if place[:3] == self._place_of(key, "")[:3]
        }
        changed[self._place_of(key, "")] = file_value(name, data, key, signature, meta_graph, self.scale)
        self._give(changed)

    @intent
    def choose_scale(self, scale: str | None) -> None:
        """Says what the pixels of images become; images that were given already are read again."""
        meta_graph, signature = self._asked()
        if scale is not None and scale not in SCALES:
            raise RequestError(f"there is no scale {quoted(str(scale))}; it is '0..1', '-1..1' or '0..255'")
        again = {}
        for place, one in self.given.items():
            if place[:2] == self._place_of("", "")[:2] and one.picture and place[2] in signature.inputs:
                again[place] = file_value(one.file_name, one.file_data, place[2], signature, meta_graph, scale)
        self.scale = scale
        self._give(again)

    @intent
    def choose_protocol(self, protocol: str) -> None:
        """Chooses what the request is shown as; of REST's two formats, the one that is asked here too."""
        if protocol not in SHOWN_PROTOCOLS:
            raise NotFoundError("protocol", protocol, SHOWN_PROTOCOLS)
        self.protocol = protocol
        if protocol in _FORMATS:
            self.body_format = _FORMATS[protocol]

    @property
    def requests(self) -> Requests | None:
        """The requests of every protocol; None where no signature is chosen."""
        model, meta_graph, signature = self.model, self.meta_graph, self.signature
        if model is None or meta_graph is None or signature is None:
            return None
        question = (model, meta_graph, signature, self.values_kind, self.batch, self.seed, self.given)
        if self._made is None or not all(one is other for one, other in zip(self._made[0], question, strict=True)):
            self._made = (question, self._make(model, meta_graph, signature))
        return self._made[1]

    @property
    def values(self) -> Mapping[str, Tensor]:
        """Input key → value, for every input of the chosen signature; empty where there can be none."""
        made = self.requests
        return frozen({}) if made is None else made.tensors

    @property
    def problems(self) -> Mapping[str, str]:
        """Input key, or input key and feature name joined by a slash → why what was typed for it isn't used."""
        here = self._place_of("", "")[:2]
        return {
            "/".join(filter(None, place[2:])): one.problem
            for place, one in self.given.items()
            if place[:2] == here and one.problem
        }

    @property
    def is_untouched(self) -> bool:
        """Whether all values of the chosen signature are zeros of a batch of one: nobody has given or chosen any."""
        here = self._place_of("", "")[:2]
        return (
            self.values_kind == "zeros"
            and self.batch in (None, 1)
            and not any(place[:2] == here and one.is_used for place, one in self.given.items())
        )

    @property
    def rest_protocol(self) -> str:
        """The REST request that is meant: ``rest_row``, ``rest_column``, ``classify`` or ``regress``; may be empty."""
        signature = self.signature
        if signature is None:
            return ""
        if self.protocol in ("rest_row", "rest_column", "classify", "regress"):
            return self.protocol
        try:
            fitting = body_format(signature)[0]
        except ExplorerError:
            return ""
        if fitting == "examples":
            return signature.method
        if self.body_format is not None or self.is_untouched or self.requests is None:
            return f"rest_{self.body_format or fitting}"
        made = self.requests.fitting[0]
        return made if made.startswith("rest") else ""

    @property
    def shown_protocol(self) -> str:
        """What the request is shown as."""
        return self.protocol or self.rest_protocol or "grpc_text"

    def offered_protocols(self) -> tuple[str, ...]:
        """What the request can be shown as: classify and regress only where the signature is meant for them."""
        signature = self.signature
        if signature is None:
            return ()
        others = {"classify", "regress"} - {signature.method, self.protocol}
        return tuple(one for one in SHOWN_PROTOCOLS if one not in others)

    def features(self, key: str) -> Mapping[str, Feature]:
        """The features that the chosen signature parses from an input; none where it isn't one of records."""
        return self._specs().get(key, frozen({}))

    def record(self, key: str) -> dict[str, Any]:
        """The features of the first record that is sent for an input."""
        tensor = self.values.get(key)
        return {} if tensor is None else first_record(tensor.texts)

    def given_for(self, key: str, feature: str = "") -> Given | None:
        """What was given for an input of the chosen signature, or for a feature of its records."""
        found: Given | None = self.given.get(self._place_of(key, feature))
        return found

    def _make(self, model: SavedModel, meta_graph: MetaGraph, signature: Signature) -> Requests:
        from explorer.serving.example_values import example_values
        from explorer.serving.requests import Requests, requests

        given = {key: one.tensor for key in signature.inputs if (one := self.given_for(key)) and one.tensor}
        batches = {tensor.shape[0] for tensor in given.values() if tensor.shape}
        batch = self.batch or (batches.pop() if len(batches) == 1 else 1)
        try:
            # All of them, so that what is made up for one input stays when something is given for another.
            made = example_values(signature, self.values_kind, batch=batch, seed=self.seed, meta_graph=meta_graph)
            values = self._with_features({**made, **given})
            return requests(model, signature.key, tags=meta_graph.tags, values=values)
        except ExplorerError as error:
            return Requests(signature, served_name(model), problem=str(error))

    def _with_features(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The values with the features that were typed, in every record."""
        for key, spec in self._specs().items():
            typed = {name: one.value for name in spec if (one := self.given_for(key, name)) and one.is_used}
            if typed and key in tensors:
                from explorer.savedmodel.tf_example import example_bytes

                texts = [example_bytes({**first_record([text]), **typed}, spec) for text in tensors[key].texts]
                tensors[key] = replace(tensors[key], texts=tuple(texts))
        return tensors

    def _specs(self) -> Mapping[str, Mapping[str, Feature]]:
        meta_graph, signature = self.meta_graph, self.signature
        if meta_graph is None or signature is None:
            return {}
        if self._read_specs is None or self._read_specs[0] is not signature:
            from explorer.savedmodel.feature_spec import feature_specs

            try:
                self._read_specs = (signature, feature_specs(meta_graph, signature))
            except ExplorerError:  # the graph is corrupt, as the checks say
                self._read_specs = (signature, frozen({}))
        return self._read_specs[1]

    def _give(self, changed: Mapping[Place, Given | None]) -> None:
        merged = {**self.given, **changed}
        self.given = frozen({place: one for place, one in merged.items() if one is not None})

    def _follow(self, entry: Mapping[str, Any]) -> None:
        """Lets the values of an input that an edit renames be there under its new key too; undo finds them as well."""
        edit, old, new = entry["edit"], entry.get("signature_key"), entry.get("new_key")
        moved = {}
        for (graph, key, name, feature), one in self.given.items():
            if key != old or graph != self.meta_graph_index or new is None:
                continue
            if edit in ("rename_signature", "copy_signature"):
                moved[graph, str(new), name, feature] = one
            elif edit == "rename_input" and name == entry.get("input_key"):
                moved[graph, key, str(new), feature] = one
        self._give(moved)

    def _place_of(self, key: str, feature: str) -> Place:
        return (self.meta_graph_index, self.signature_key or "", key, feature)

    def _asked(self) -> tuple[MetaGraph, Signature]:
        self._opened()
        meta_graph, signature = self.meta_graph, self.signature
        if meta_graph is None or signature is None:
            raise RequestError("no signature is chosen, so there are no values to give")
        return meta_graph, signature

    def _forget_values(self) -> None:
        """Goes back to zeros: another model is shown now."""
        self.given, self.values_kind, self.batch, self.seed = frozen({}), "zeros", None, 0
        self.scale, self.protocol, self._made = None, "", None


def _check_batch(signature: Signature, batch: int) -> None:
    if batch < 1:
        raise RequestError(f"a batch has one or more examples, and {batch} were asked for")
    for key, info in signature.inputs.items():
        if math.prod(filled_shape(info, batch)) > _MOST_ELEMENTS:
            raise RequestError(
                f"with a batch of {batch}, input {quoted(key)} would have more than {_MOST_ELEMENTS} elements; "
                "take a smaller one"
            )


__all__ = ["PROTOCOLS", "SHOWN_PROTOCOLS", "RequestsState"]
