"""What flows from the inputs of a signature to its outputs, and nothing else: for looking at, a part at a time.

    >>> flow = flow_of(open_saved_model("sample_models/half_plus_two"), "serving_default")
    >>> [box.title for box in flow.view().boxes]
    ['x', 'a', 'ReadVariableOp', 'mul', 'b', 'ReadVariableOp', 'y', 'y']

A model can have a hundred thousand nodes, in functions that call functions. So a flow is read as it is unfolded: name
scopes ("layers"), calls, loops, branches and mapped functions are groups, and a group is one box until somebody looks
into it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from explorer.diagnosing.flow_bodies import ENDS, INPUT, OUTPUT, Body, function_body, signature_body
from explorer.diagnosing.flow_boxes import MOST_BOXES, Box, Link, Path, View
from explorer.diagnosing.flow_calls import called_functions
from explorer.diagnosing.flow_frames import Frames
from explorer.diagnosing.flow_groups import HELD
from explorer.diagnosing.flow_view import Looker
from explorer.savedmodel.graph import Graph, name_rank, read_graph, split_tensor_name
from explorer.savedmodel.model import MetaGraph, SavedModel, Signature

__all__ = ["MOST_BOXES", "Box", "Flow", "FlowOp", "Found", "Link", "Path", "View", "flow_of", "ops_of"]

_MOST_OPENED: Final = 40
"""A flow is opened so far that one sees what it does, but no more boxes than this."""

_MOST_ROUNDS = 12
_FEW = 14  # boxes; a flow that has no more when all is unfolded is shown so
_ENDS_OF_BOXES = frozenset(
    {INPUT, OUTPUT, "argument", "result", "variable", "constant", "table", "order", HELD, "constants"}
)
_LEFT_FOLDED = frozenset({HELD, "constants"})


class FlowOp(NamedTuple):
    """An op that a signature runs.

    Attributes:
        function: The function that its node stands in; empty for the graph.
        node: The name of the node.
        op: The op.
    """

    function: str
    node: str
    op: str


class Found(NamedTuple):
    """Something that a search found.

    Attributes:
        path: The path to its box: unfold every group on it to see it.
        name: Its name in its function.
        op: Its op; empty for an input or output.
        function: The function that it stands in; empty for the graph.
    """

    path: Path
    name: str
    op: str
    function: str


class Flow:
    """What a signature runs. Made by :func:`flow_of`.

    Attributes:
        meta_graph: The meta graph.
        signature: The signature.
        graph: The graph of the meta graph.
        body: What is reached in the graph itself, without what is inside functions.
    """

    def __init__(self, meta_graph: MetaGraph, signature: Signature) -> None:
        self.meta_graph = meta_graph
        self.signature = signature
        self.graph: Graph = read_graph(meta_graph)
        self.body: Body = signature_body(self.graph, signature)
        self._frames = Frames(meta_graph, self.graph, self.body)
        self._looker = Looker(self._frames)
        self._first: frozenset[Path] | None = None

    def view(self, unfolded: Collection[Path] = (), *, most: int = MOST_BOXES) -> View:
        """What is seen while some groups are unfolded.

        Args:
            unfolded: The paths of the groups; one whose outer group isn't unfolded counts as folded, and so does a
                path that leads nowhere.
            most: How many boxes there may be; what doesn't fit is one box that tells how many, or stays folded.

        Returns:
            The boxes and the links between them. What it costs is linear in the functions that are seen.

        Raises:
            FormatError: A function is corrupt.
        """
        return self._looker.view(unfolded, most)

    def first_unfolded(self) -> frozenset[Path]:
        """The groups to begin with: those that are alone, as the calls of TensorFlow 2 around everything are.

        Raises:
            FormatError: A function is corrupt.
        """
        if self._first is None:
            unfolded = self._with_what_is_alone(frozenset(), ())
            everything = unfolded
            for _ in range(_MOST_ROUNDS):  # of a small flow all is seen
                boxes = self.view(everything).boxes
                folded = [
                    box.path for box in boxes if box.can_unfold and not box.unfolded and box.kind not in _LEFT_FOLDED
                ]
                if len(boxes) > _FEW:
                    break
                unfolded = everything
                if not folded:
                    break
                everything = everything.union(folded)
            self._first = unfolded
        return self._first

    def unfold(self, unfolded: Collection[Path], path: Path) -> frozenset[Path]:
        """Unfolds one more group, with what is alone in it and the bodies of a loop or branch.

        Args:
            unfolded: The groups that are unfolded.
            path: The path of the one to unfold; all groups on it are unfolded too.

        Returns:
            The groups that are then unfolded. Where there wouldn't be room for all, others are folded.

        Raises:
            FormatError: A function is corrupt.
        """
        way = frozenset(path[:length] for length in range(1, len(path) + 1))
        wanted = self._with_what_is_alone(way.union(unfolded), path)
        if self.view(wanted).left_out:
            wanted = self._with_what_is_alone(way, path)
        return wanted

    def _with_what_is_alone(self, unfolded: frozenset[Path], path: Path) -> frozenset[Path]:
        for _ in range(_MOST_ROUNDS):
            boxes = self.view(unfolded).boxes
            inside = [box for box in boxes if box.parent == path]
            groups = [box for box in inside if box.can_unfold and box.kind not in _LEFT_FOLDED]
            roles = [box for box in groups if box.path[-1].startswith("f:")]
            alone = (
                groups if len(groups) == 1 and sum(1 for box in inside if box.kind not in _ENDS_OF_BOXES) <= 3 else []
            )
            if not (roles or alone):
                break
            opened = unfolded.union(box.path for box in roles or alone)
            if len(self.view(opened).boxes) > _MOST_OPENED + len(boxes) * bool(path):
                break
            unfolded = opened
            if roles:
                break
            path = alone[0].path
        return unfolded

    def search(self, text: str, limit: int = 50) -> list[Found]:
        """Finds nodes by a part of their name or op, wherever they run.

        Args:
            text: The part, in any case of letters.
            limit: The most that are returned.

        Returns:
            What was found, best first, as the graph's own search ranks; a function that is called from several places
            is looked into at the first.

        Raises:
            FormatError: A function is corrupt.
        """
        wanted = split_tensor_name(text.strip().lower())[0]
        if not wanted or limit < 1:
            return []
        ranked = []
        for depth, frame in enumerate(self._frames.find_frames()):
            body = frame.body
            for number, name in enumerate(body.names):
                if body.kinds[number] in ENDS and body.kinds[number] not in (INPUT, OUTPUT):
                    continue
                rank = name_rank(wanted, name.lower(), body.ops[number].lower())
                if rank is not None:
                    ranked.append((rank, len(name), depth, number, frame))
        ranked.sort(key=lambda one: one[:4])
        return [
            Found(
                self._frames.path_of(frame, number),
                frame.body.names[number],
                frame.body.ops[number],
                frame.body.function,
            )
            for *_, number, frame in ranked[:limit]
        ]


def flow_of(model: SavedModel | MetaGraph, signature_key: str, tags: Iterable[str] | None = None) -> Flow:
    """What flows from the inputs of a signature to its outputs.

    Args:
        model: A model that was read from a file, or one of its meta graphs.
        signature_key: The signature.
        tags: Which meta graph of the model; see :meth:`SavedModel.meta_graph`.

    Returns:
        The flow. The graph is read at once, its functions when they are unfolded.

    Raises:
        NotFoundError: There is no such meta graph or signature.
        FormatError: The graph is corrupt, or the model was made from data and has none.
    """
    meta_graph = model.meta_graph(tags) if isinstance(model, SavedModel) else model
    return Flow(meta_graph, meta_graph.signature(signature_key))


def ops_of(flow: Flow) -> frozenset[FlowOp]:
    """Every op that a signature runs, through all functions that it leads to.

    That is what a session would run: in the graph what the outputs need, back to what is fed, and in each function what
    its results need and what it must run before it returns. Arguments of functions are no ops.

    Raises:
        FormatError: A function is corrupt.
    """
    graph, found = flow.graph, set()
    for name in flow.body.reached_fed:
        found.add(FlowOp("", name, graph.nodes[name].op))
    known: set[str] = set()
    pending = [flow.body]
    for body in pending:
        for number, name in enumerate(body.names):
            if body.kinds[number] in ENDS:
                continue
            found.add(FlowOp(body.function, name, body.ops[number]))
            for called in called_functions(graph, body, number):
                if called.function not in known:
                    known.add(called.function)
                    pending.append(function_body(graph, called.function))
    return frozenset(found)
