"""The tensors that an edit of a signature can name: those of the graph, and those inside the functions it calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from explorer.editing.inner_edits import inner_tensors_of
from explorer.errors import EditError
from explorer.savedmodel.graph import (
    HANDLES,
    PLACEHOLDER_OPS,
    Graph,
    GraphTensor,
    name_rank,
    read_graph,
    split_tensor_name,
)
from explorer.savedmodel.inner_tensors import InnerTensor, find_inner
from explorer.savedmodel.model import DType, MetaGraph, Signature


@dataclass(frozen=True)
class Tensors:
    """What can be chosen as a tensor while one signature of a draft is edited.

    In a graph of TensorFlow 1 that is every tensor. In a model of TensorFlow 2 the graph only calls functions: there
    it is what the signatures feed and fetch, and what the functions of the signature compute.

    Attributes:
        meta_graph: The meta graph.
        signature: The signature, None for none.
    """

    meta_graph: MetaGraph
    signature: Signature | None

    def search(
        self, text: str, dtype: DType | None = None, *, inside: bool = False, limit: int = 50
    ) -> list[GraphTensor]:
        """Finds tensors by a part of their name or op, ranked as :meth:`Graph.search` ranks them.

        Args:
            text: The part; with an index (``add:0``) it is a tensor of a node with that part.
            dtype: Only tensors of this dtype.
            inside: Whether only those inside functions are wanted, where there are any.
            limit: The most that are returned.

        Returns:
            The tensors, best first; handles of variables and tables, which no request can hold, are not among them.

        Raises:
            FormatError: The graph is corrupt.
        """
        if not self._inner:
            return self._graph.search(text, dtype=dtype, limit=limit, handles=False)
        wanted, index = split_tensor_name(text.strip().lower())
        ranked = []
        for order, candidate in enumerate(self._inner_candidates if inside else self._candidates):
            if index not in (None, candidate.index) or (dtype is not None and candidate.dtype.base != dtype.base):
                continue
            rank = candidate.rank(wanted) if wanted else 0
            if rank is not None:
                ranked.append((rank, len(candidate.node) if wanted else 0, order, candidate))
        ranked.sort(key=lambda entry: entry[:3])
        return [candidate.tensor for *_, candidate in ranked[:limit]]

    def find(self, tensor_name: str) -> GraphTensor | None:
        """The tensor that a name means to an edit, None where it means none or several.

        Raises:
            FormatError: The graph is corrupt.
        """
        tensor = self._graph.tensor(tensor_name)
        if tensor is not None or not tensor_name:
            return tensor
        found = find_inner(self._inner, tensor_name)
        return found[0].to_graph_tensor() if len(found) == 1 else None

    @property
    def _graph(self) -> Graph:
        return read_graph(self.meta_graph)

    @cached_property
    def _inner(self) -> tuple[InnerTensor, ...]:
        if self.signature is None or self.signature.is_reserved or not self.meta_graph.has_object_graph:
            return ()
        try:
            return inner_tensors_of(self.meta_graph, self.signature)
        except EditError:  # what the signature computes can't be told, and an edit of it says why
            return ()

    @cached_property
    def _candidates(self) -> Sequence[_Candidate]:
        return [*self._inner_candidates, *map(_Candidate.of_graph, self._served())]

    @cached_property
    def _inner_candidates(self) -> Sequence[_Candidate]:
        return [_Candidate.of_inner(tensor) for tensor in self._inner]

    def _served(self) -> Iterator[GraphTensor]:
        """The graph's placeholders that signatures feed, and all that the nodes give from which they fetch."""
        graph = self._graph
        signatures = self.meta_graph.callable_signatures.values()
        infos = [info for one in signatures for info in (*one.inputs.values(), *one.outputs.values())]
        nodes = dict.fromkeys(split_tensor_name(name)[0] for info in infos for name in info.tensor_names)
        for node in nodes:
            count = graph.output_count(node) or 0
            known = graph.nodes.get(node)
            for index in range(1 if known is not None and known.op in PLACEHOLDER_OPS else count):
                tensor = graph.tensor(f"{node}:{index}")
                if tensor is not None and tensor.dtype.base.number not in HANDLES:
                    yield tensor


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A tensor with what it is found by.

    Attributes:
        tensor: The tensor.
        index: Which output of its node it is.
        node: The name of the node in its function, in small letters.
        op: Its op, in small letters.
        whole: Its name as seen from the graph without the index, in small letters.
        dtype: Its dtype.
    """

    tensor: GraphTensor
    index: int
    node: str
    op: str
    whole: str
    dtype: DType

    @classmethod
    def of_graph(cls, tensor: GraphTensor) -> _Candidate:
        """A tensor of the graph itself."""
        name = tensor.node.lower()
        return cls(tensor, split_tensor_name(tensor.name)[1] or 0, name, tensor.op.lower(), name, tensor.dtype)

    @classmethod
    def of_inner(cls, tensor: InnerTensor) -> _Candidate:
        """A tensor inside a function."""
        shown = tensor.to_graph_tensor()
        whole = shown.name.rpartition(":")[0].lower()
        return cls(shown, tensor.index, tensor.node.lower(), tensor.op.lower(), whole, tensor.dtype)

    def rank(self, text: str) -> int | None:
        """How well it fits a part of a name: by its name in the function, or as far as the path is meant too."""
        rank = name_rank(text, self.node, self.op)
        return rank if rank is not None or "/" not in text else name_rank(text, self.whole, self.op)


def short_names(tensors: Iterable[GraphTensor]) -> list[str]:
    """How some tensors are told apart in a list: the end of each name from the node on, or longer where two are equal.

    ``StatefulPartitionedCall/model/dense/Relu:0`` is ``dense/Relu:0`` where no other tensor ends so.
    """
    shown = list(tensors)
    parts = [_split(tensor) for tensor in shown]
    taken = [0] * len(shown)  # how many parts of the path are shown
    while True:
        names = ["/".join((*path[len(path) - count :], own)) for (path, own), count in zip(parts, taken, strict=True)]
        counts: dict[str, int] = {}
        for name in names:
            counts[name] = counts.get(name, 0) + 1
        longer = [place for place, name in enumerate(names) if counts[name] > 1 and taken[place] < len(parts[place][0])]
        if not longer:
            return names
        for place in longer:
            taken[place] += 1


def _split(tensor: GraphTensor) -> tuple[list[str], str]:
    """The path to a tensor's function in parts, and its name there."""
    index = split_tensor_name(tensor.name)[1] or 0
    own = f"{tensor.node}:{index}"
    path = tensor.name.removesuffix(own).rstrip("/")
    return (path.split("/") if path else []), own
