"""What every rule about a signature is given, and how it words and places what it finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from explorer.checking.findings import Finding, Severity
from explorer.errors import quoted
from explorer.savedmodel.graph import Graph
from explorer.savedmodel.model import MetaGraph, Signature, TensorInfo

Side = Literal["input", "output"]


@dataclass(frozen=True, slots=True)
class Scope:
    """A signature under examination.

    Attributes:
        meta_graph: The meta graph that it is in.
        signature: The signature.
        graph: The graph of the meta graph, None where there is none to look into.
        editable: Whether an edit that names the meta graph's tags reaches it: not so for the second of two with the
            same tags.
    """

    meta_graph: MetaGraph
    signature: Signature
    graph: Graph | None
    editable: bool = True

    @property
    def name(self) -> str:
        """The signature as it stands in a sentence."""
        return f"signature {quoted(self.signature.key)}"

    @property
    def loading_fails(self) -> str:
        """What a fault that a loader trips over does to ``tf.saved_model.load``, as the end of a sentence.

        It rebuilds the signatures of a model without an object graph from ``signature_def`` when it loads the model
        (``tensorflow/python/saved_model/load_v1_in_v2.py``), and doesn't look at ``signature_def`` otherwise.
        """
        if self.meta_graph.has_object_graph:
            return ""
        return ", and tf.saved_model.load refuses the whole model"

    def of(self, side: Side, key: str) -> str:
        """An input or output as it stands in a sentence."""
        return f"{side} {quoted(key)} of {self.name}"

    def infos(self, side: Side) -> Mapping[str, TensorInfo]:
        """The inputs, or the outputs."""
        return self.signature.inputs if side == "input" else self.signature.outputs

    def finding(
        self,
        severity: Severity,
        code: str,
        message: str,
        fix: str = "",
        *,
        field: Literal["key", "method_name", "input", "output"] | None = None,
        key: str | None = None,
        subject: str = "",
        edit: Mapping[str, Any] | None = None,
    ) -> Finding:
        """A finding about this signature."""
        return Finding(
            severity, code, message, fix, self.meta_graph.tags, self.signature.key, field, key, subject, edit
        )

    def edit(self, name: str, **arguments: Any) -> Mapping[str, Any] | None:
        """A recipe entry about this signature, None where it can't be applied."""
        if not self.editable or self.signature.is_reserved:
            return None
        return {
            "edit": name, "tags": sorted(self.meta_graph.tags), "signature_key": self.signature.key, **arguments
        }  # fmt: skip

    def tensor_edit(self, side: Side, key: str, tensor_name: str) -> Mapping[str, Any] | None:
        """The recipe entry that points an input or output at a tensor, None where it can't be applied."""
        if self.meta_graph.has_object_graph:
            return None
        return self.edit(f"set_{side}_tensor", **{f"{side}_key": key, "tensor_name": tensor_name})


def tensor_names(info: TensorInfo) -> list[str]:
    """Every graph tensor that an input or output stands for; those of a nested composite are read out of their list."""
    return [name for names in info.tensor_names for name in names.split(", ")]
