"""The immutable model of a SavedModel: what ``saved_model.pb`` says, as frozen dataclasses.

Names follow TensorFlow's protos: ``saved_model.proto``, ``meta_graph.proto`` and ``tensor_shape.proto`` in
``tensorflow/core``. Nothing here reads a file; :mod:`explorer.savedmodel.reader` makes these objects.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from explorer.errors import FormatError, NotFoundError, quoted
from explorer.savedmodel import constants
from explorer.savedmodel.tensor_info import DType, Shape, TensorInfo, expect_keys, frozen, mapping_of

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from explorer.savedmodel.overlay import Document
    from explorer.savedmodel.wire import Field

__all__ = ["DType", "MetaGraph", "SavedModel", "Shape", "Signature", "TensorInfo", "frozen", "printable_tags"]

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Signature:
    """A SignatureDef: a named entry point of a graph.

    Attributes:
        key: Its key in ``signature_def``.
        inputs: Input key → what is fed, in file order.
        outputs: Output key → what is fetched, in file order.
        method_name: What a server does with it: one of ``constants.METHOD_NAMES``, or any other text.
        defaults: Input key → serialized ``TensorProto``, used when a client leaves that input out.
    """

    key: str
    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]
    method_name: str = ""
    defaults: Mapping[str, bytes] = field(default_factory=lambda: frozen({}))

    @property
    def is_reserved(self) -> bool:
        """Whether loaders use it for themselves; nobody calls it, and no edit touches it."""
        return self.key in constants.RESERVED_SIGNATURE_KEYS

    @property
    def method(self) -> str:
        """The last part of the method name: ``predict``, ``classify``, ``regress`` or another text."""
        return self.method_name.removeprefix("tensorflow/serving/")

    def input(self, input_key: str) -> TensorInfo:
        """The input with a key.

        Raises:
            NotFoundError: There is none.
        """
        return _look_up(self.inputs, "input", input_key, f"signature {quoted(self.key)}")

    def output(self, output_key: str) -> TensorInfo:
        """The output with a key.

        Raises:
            NotFoundError: There is none.
        """
        return _look_up(self.outputs, "output", output_key, f"signature {quoted(self.key)}")

    def to_dict(self) -> dict[str, Any]:
        """As plain data, with the names of ``show --json``; default values are TensorProtos in base64."""
        data: dict[str, Any] = {
            "signature_key": self.key,
            "method_name": self.method_name,
            "inputs": {key: info.to_dict() for key, info in self.inputs.items()},
            "outputs": {key: info.to_dict() for key, info in self.outputs.items()},
            "defaults": list(self.defaults),
            "default_values": {key: base64.b64encode(value).decode() for key, value in self.defaults.items()},
        }
        if self.is_reserved:
            data["reserved"] = True
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], key: str | None = None) -> Signature:
        """The inverse of :meth:`to_dict`.

        Args:
            data: What :meth:`to_dict` gives.
            key: The signature's key, for data that stands under it and doesn't repeat it.

        Raises:
            FormatError: The data hasn't that form.
        """
        optional = {"signature_key", "method_name", "defaults", "default_values", "reserved"}
        key = str(mapping_of(data, "a signature").get("signature_key", "")) if key is None else key
        expect_keys(data, f"signature {quoted(key)}", {"inputs", "outputs"}, optional)
        try:
            defaults = {
                name: base64.b64decode(value, validate=True)
                for name, value in mapping_of(data.get("default_values", {}), "default_values").items()
            }
        except (binascii.Error, TypeError, ValueError):
            raise FormatError(f"a default value of signature {quoted(key)} is not base64") from None
        return cls(
            key=key,
            inputs=_tensors_from(data["inputs"], "inputs"),
            outputs=_tensors_from(data["outputs"], "outputs"),
            method_name=str(data.get("method_name", "")),
            defaults=frozen(defaults),
        )

    def to_frame(self) -> pd.DataFrame:
        """The inputs and outputs as a table, one tensor a row."""
        import explorer  # the top of the package knows how it looks; the model itself does not

        return explorer.to_frame(self)

    def _repr_html_(self) -> str:
        import explorer  # the top of the package knows how it looks; the model itself does not

        return explorer.to_html(self)

    def __str__(self) -> str:
        import explorer  # the top of the package knows how it looks; the model itself does not

        return explorer.to_text(self)


@dataclass(frozen=True, slots=True)
class MetaGraph:
    """A MetaGraphDef: one graph with its signatures, chosen by its tags.

    Attributes:
        tag_list: The tags as they stand in the file, order and repetitions kept.
        signatures: Signature key → signature, reserved ones included, in file order.
        tensorflow_version: The version that wrote it; may be empty.
        has_object_graph: Whether the signatures stand a second time in an object graph, as TensorFlow 2 writes them.
        repeated_keys: Signature keys that the file holds more than once; loaders keep the last.
        document: Where its bytes are; None where it was not read from bytes.
        field: Its place in ``document``.
    """

    tag_list: tuple[str, ...]
    signatures: Mapping[str, Signature]
    tensorflow_version: str = ""
    has_object_graph: bool = False
    repeated_keys: tuple[str, ...] = ()
    document: Document | None = field(default=None, compare=False, repr=False)
    field: Field | None = field(default=None, compare=False, repr=False)

    @property
    def tags(self) -> frozenset[str]:
        """The tag set, by which loaders choose the meta graph."""
        return frozenset(self.tag_list)

    @property
    def callable_signatures(self) -> Mapping[str, Signature]:
        """The signatures that a client can call: all but the reserved ones."""
        return frozen({key: signature for key, signature in self.signatures.items() if not signature.is_reserved})

    @property
    def default_signature_key(self) -> str | None:
        """The key that is called when a request names none, or None where the model has no such signature."""
        return constants.DEFAULT_SIGNATURE_KEY if constants.DEFAULT_SIGNATURE_KEY in self.signatures else None

    def signature(self, signature_key: str) -> Signature:
        """The signature with a key.

        Raises:
            NotFoundError: There is none.
        """
        return _look_up(self.signatures, "signature", signature_key, f"the meta graph {printable_tags(self.tags)}")

    def to_dict(self) -> dict[str, Any]:
        """As plain data, with the names of ``show --json``."""
        return {
            "tags": list(self.tag_list),
            "tensorflow_version": self.tensorflow_version,
            "object_graph": self.has_object_graph,
            "signatures": {key: signature.to_dict() for key, signature in self.signatures.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> MetaGraph:
        """The inverse of :meth:`to_dict`.

        Raises:
            FormatError: The data hasn't that form.
        """
        expect_keys(data, "a meta graph", {"tags", "signatures"}, {"tensorflow_version", "object_graph", "counts"})
        tags = data["tags"]
        if not isinstance(tags, list | tuple) or not all(isinstance(tag, str) for tag in tags):
            raise FormatError("the tags of a meta graph must be a list of texts")
        signatures = mapping_of(data["signatures"], "signatures")
        return cls(
            tag_list=tuple(tags),
            signatures=frozen({key: Signature.from_dict(value, key) for key, value in signatures.items()}),
            tensorflow_version=str(data.get("tensorflow_version", "")),
            has_object_graph=bool(data.get("object_graph", False)),
        )

    def to_frame(self) -> pd.DataFrame:
        """The signatures as a table, one a row."""
        import explorer  # the top of the package knows how it looks; the model itself does not

        return explorer.to_frame(self)

    def _repr_html_(self) -> str:
        import explorer  # the top of the package knows how it looks; the model itself does not

        return explorer.to_html(self)

    def __str__(self) -> str:
        import explorer  # the top of the package knows how it looks; the model itself does not

        return explorer.to_text(self)


@dataclass(frozen=True, slots=True)
class SavedModel:
    """A SavedModel: the folder that it was read from and its meta graphs.

    Attributes:
        meta_graphs: In file order.
        path: The folder that was read, absolute; None for a model made by :meth:`from_dict`.
        version: The number of the version folder, None where the folder isn't a version.
        file_name: ``saved_model.pb`` or ``saved_model.pbtxt``.
        schema_version: ``saved_model_schema_version``; 1 in nearly all files.
        edits: What was done to it since it was read: recipe entries, oldest first.
        document: The bytes of ``saved_model.pb`` with the pending edits; None for a model made by :meth:`from_dict`.
        source: The bytes as they were read.
        lossy: Why the file can be shown but not written again, or an empty text.
        added_files: What the edits add beside ``saved_model.pb``: name in the folder, with ``/``, → content.
    """

    meta_graphs: tuple[MetaGraph, ...]
    path: Path | None = None
    version: int | None = None
    file_name: str = constants.SAVED_MODEL_PB
    schema_version: int = field(default=1, compare=False)
    edits: tuple[Mapping[str, Any], ...] = field(default=(), compare=False)
    document: Document | None = field(default=None, compare=False, repr=False)
    source: Document | None = field(default=None, compare=False, repr=False)
    lossy: str = field(default="", compare=False, repr=False)
    added_files: Mapping[str, bytes] = field(default_factory=dict, compare=False, repr=False)

    @property
    def base_path(self) -> Path | None:
        """The folder that holds the version folders, None where the model doesn't stand in one."""
        return self.path.parent if self.path is not None and self.version is not None else None

    def meta_graph(self, tags: Iterable[str] | None = None) -> MetaGraph:
        """The meta graph with exactly these tags.

        Args:
            tags: A set of tags, or one tag; None where the model has only one meta graph, or one tagged ``serve``.

        Returns:
            The first meta graph with that tag set, as loaders choose it.

        Raises:
            NotFoundError: No meta graph has that tag set, or None doesn't say which.
        """
        return self.meta_graphs[self.meta_graph_index(tags)]

    def meta_graph_index(self, tags: Iterable[str] | None = None) -> int:
        """The position of :meth:`meta_graph` in ``meta_graphs``."""
        if tags is None:
            if len(self.meta_graphs) == 1:
                return 0
            tags = {"serve"}
        wanted = frozenset({tags} if isinstance(tags, str) else tags)
        for index, meta_graph in enumerate(self.meta_graphs):
            if meta_graph.tags == wanted:
                return index
        available = [printable_tags(meta_graph.tags) for meta_graph in self.meta_graphs]
        raise NotFoundError("meta graph with exactly the tags", ",".join(sorted(wanted)), available)

    def to_dict(self) -> dict[str, Any]:
        """As plain data, with the names of ``show --json``."""
        return {
            "path": None if self.path is None else str(self.path),
            "version": self.version,
            "meta_graphs": [meta_graph.to_dict() for meta_graph in self.meta_graphs],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SavedModel:
        """The inverse of :meth:`to_dict`: a model to check and to show; without a file it can't be exported.

        Raises:
            FormatError: The data hasn't that form.
        """
        expect_keys(data, "a SavedModel", {"meta_graphs"}, None)
        meta_graphs = data["meta_graphs"]
        if not isinstance(meta_graphs, list | tuple):
            raise FormatError("the meta_graphs of a SavedModel must be a list")
        path, version = data.get("path"), data.get("version")
        if path is not None:
            from pathlib import Path

            path = Path(str(path))
        if version is not None and not isinstance(version, int):
            raise FormatError("the version of a SavedModel must be a whole number or null")
        return cls(tuple(MetaGraph.from_dict(meta_graph) for meta_graph in meta_graphs), path, version)

    def to_frame(self) -> pd.DataFrame:
        """The meta graphs as a table, one a row."""
        import explorer  # the top of the package knows how it looks; the model itself does not

        return explorer.to_frame(self)

    def _repr_html_(self) -> str:
        import explorer  # the top of the package knows how it looks; the model itself does not

        return explorer.to_html(self)

    def __str__(self) -> str:
        import explorer  # the top of the package knows how it looks; the model itself does not

        return explorer.to_text(self)

    def with_edit(self, edit: Mapping[str, Any]) -> SavedModel:
        """The same model with one more entry in ``edits``."""
        return replace(self, edits=(*self.edits, MappingProxyType(dict(edit))))


def printable_tags(tags: Iterable[str]) -> str:
    """A tag set as it stands in a sentence: ``serve``, ``gpu,serve`` or ``(no tag)``."""
    from explorer.errors import printable_name

    return ",".join(printable_name(tag) for tag in sorted(tags)) or "(no tag)"


def _look_up(values: Mapping[str, _Value], what: str, name: str, where: str) -> _Value:
    try:
        return values[name]
    except KeyError:
        raise NotFoundError(what, name, values, where) from None


def _tensors_from(data: object, what: str) -> Mapping[str, TensorInfo]:
    return frozen({key: TensorInfo.from_dict(value) for key, value in mapping_of(data, what).items()})
