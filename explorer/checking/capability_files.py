"""Whose file an op reads or writes: the model's own checkpoint or asset, which a loader names, or another.

Only what can't be made to name another file counts as the model's own: the tensor that a loader feeds with a path, and
what is put behind that path, never a ``..``. Everything else, a constant or something computed, is another file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final, Literal

from explorer.checking.capability_nodes import Bodies, Spot, node_places
from explorer.checking.capability_roots import Root, Roots
from explorer.savedmodel import nodes as node_fields
from explorer.savedmodel.assets import AssetFile
from explorer.savedmodel.edges import split_tensor_name
from explorer.savedmodel.graph import Graph, Node
from explorer.savedmodel.inner_tensors import CALL_OPS
from explorer.savedmodel.overlay import Document
from explorer.savedmodel.wire import LENGTH, Field

Origin = Literal["saver", "asset", "fed asset", "default", "other"]
"""``fed asset``: a constant that loaders replace while they load, and that keeps its own value in a call. ``default``:
what a saver that nobody uses would name if it ran."""

_CHECKPOINT_OPS: Final = {
    "RestoreV2": (0,), "SaveV2": (0,), "MergeV2Checkpoints": (0, 1), "Restore": (0,), "RestoreSlice": (0,),
    "Save": (0,), "SaveSlices": (0,), "ShardedFilename": (0,), "ShardedFilespec": (0,), "DTensorRestoreV2": (0,),
}  # fmt: skip
"""Ops that savers are made of → which of their inputs name files."""

_TABLE_OPS: Final = {"InitializeTableFromTextFile": (1,), "InitializeTableFromTextFileV2": (1,)}
_FILE_INPUT: Final = {"CacheDataset": 1, "CacheDatasetV2": 1, **dict.fromkeys(_TABLE_OPS, 1)}
"""Ops whose file isn't their first input → which input it is."""

_FILE_ATTRIBUTE: Final = {
    "FixedUnigramCandidateSampler": "vocab_file",
    "ImmutableConst": "memory_region_name",
    "PrintV2": "output_stream",
    "DecodeProtoV2": "descriptor_source",
    "EncodeProto": "descriptor_source",
    "RecordInput": "file_pattern",
    "Skipgram": "filename",
    "DumpTensor": "log_dir_path",
    "CalibrationStatisticsSaver": "output_file_path",
}
"""Ops that name their file in an attribute."""

_STREAM: Final = "stderr"  # where PrintV2 writes when the file doesn't say
_NO_FILE: Final = ("", "local://", "bytes://")
_PASSED_ON: Final = frozenset({"Identity", "ShardedFilename", "ShardedFilespec", "ExpandDims", "Reshape"})
_SAVER_DEFAULT: Final = "model"  # what tf.compat.v1.train.Saver names its file when nobody tells it another
_DEEPEST: Final = 40
_LARGEST_NODE: Final = 1 << 16


class Files:
    """Answers whose file a node reads or writes.

    Args:
        graph: The graph.
        bodies: Its functions.
        roots: Where running begins.
        assets: The files that the meta graph lists.
    """

    def __init__(self, graph: Graph, bodies: Bodies, roots: Roots, assets: Sequence[AssetFile]) -> None:
        self._graph = graph
        self._bodies = bodies
        self._roots = roots
        self._assets = [_stays_inside(asset.filename) for asset in assets]
        self._asset_tensors: dict[str, bool] = {}
        for asset in assets:
            name = _with_index(asset.tensor_name)
            self._asset_tensors[name] = _stays_inside(asset.filename) and self._asset_tensors.get(name, True)
        self._known: dict[tuple[str, str], Origin] = {}
        self._places: dict[str, dict[str, Field]] = {}
        self._callers: dict[str, list[tuple[Spot, bool]]] | None = None

    def is_own(self, spot: Spot, started_by: Sequence[Root]) -> bool:
        """Whether a node only reads or writes the model's own checkpoint or assets, in the way loaders mean it to.

        Args:
            spot: The node.
            started_by: What makes it run.
        """
        places = _CHECKPOINT_OPS.get(spot.op) or _TABLE_OPS.get(spot.op)
        data = [edge for edge in spot.inputs if edge[:1] != "^"]
        if places is None or len(data) <= max(places):
            return False
        origins = {self._origin(spot.function, data[place], 0) for place in places}
        if spot.op in _TABLE_OPS:
            return origins == {"asset"} or (origins == {"fed asset"} and all(root.on_load for root in started_by))
        if not started_by:
            return not spot.function and origins <= {"saver", "default"}
        return origins == {"saver"} and all(root.starter in ("restore", "save") for root in started_by)

    def is_none(self, spot: Spot) -> bool:
        """Whether an op that may take a file takes none here."""
        attr = _FILE_ATTRIBUTE.get(spot.op)
        if attr in ("vocab_file", "descriptor_source"):
            text = spot.text(attr)
            return not spot.has(attr) if text is None else text in _NO_FILE or text.startswith("bytes://")
        return spot.op in ("CacheDataset", "CacheDatasetV2") and self.named(spot) == ""

    def named(self, spot: Spot) -> str | None:
        """The file that a node names where it names one by a constant or an attribute, else None."""
        attr = _FILE_ATTRIBUTE.get(spot.op)
        if attr is not None:
            return _STREAM if spot.op == "PrintV2" and not spot.has(attr) else spot.text(attr)
        data = [edge for edge in spot.inputs if edge[:1] != "^"]
        place = _FILE_INPUT.get(spot.op, 0)
        texts = self._texts(spot.function, data[place]) if place < len(data) else None
        return texts[0] if texts is not None and len(texts) == 1 else None

    def _origin(self, function: str, edge: str, depth: int) -> Origin:
        key = (function, edge)
        found = self._known.get(key)
        if found is None:
            found = "other" if depth > _DEEPEST else self._find_origin(function, edge, depth + 1)
            self._known[key] = found
        return found

    def _find_origin(self, function: str, edge: str, depth: int) -> Origin:
        if function:
            body = self._bodies.functions[function]
            if edge in body.arguments:
                return self._argument_origin(function, body.arguments.index(edge), depth)
        elif (tensor := _with_index(edge)) == _with_index(self._roots.saver_file):
            return "saver"
        elif tensor in self._asset_tensors:
            return self._asset_origin(tensor)
        spot = self._spot(function, edge)
        if spot is None:
            return "other"
        data = [source for source in spot.inputs if source[:1] != "^"]
        if spot.op == "Placeholder":
            return "default" if not function else "other"
        if spot.op == "Const":
            return "default" if spot.texts() == (_SAVER_DEFAULT,) else "other"
        if not data:
            return "other"
        if spot.op in _PASSED_ON or spot.op == "PlaceholderWithDefault":
            return self._origin(function, data[0], depth)
        if spot.op == "Pack":
            return _agreed(self._origin(function, source, depth) for source in data)
        if spot.op == "StringJoin":
            plain = all(self._is_plain(function, source, depth) for source in data[1:])
            together = spot.text("separator") == "" or not spot.has("separator")
            return self._origin(function, data[0], depth) if plain and together else "other"
        if spot.op == "ReadVariableOp" and not function:
            return self._variable_origin(data[0])
        return "other"

    def _asset_origin(self, tensor: str) -> Origin:
        node = self._graph.nodes.get(split_tensor_name(tensor)[0])
        if node is None or not self._asset_tensors[tensor]:
            return "other"
        return "asset" if node.op == "Placeholder" else "fed asset"

    def _argument_origin(self, function: str, place: int, depth: int) -> Origin:
        """Where an argument comes from, whoever calls the function."""
        body = self._bodies.functions[function]
        if len(body.places) != 1:
            return "other"
        origins: list[Origin] = []
        for caller, is_plain in self._calls_of(function):
            data = [edge for edge in caller.inputs if edge[:1] != "^"]
            if not is_plain or place >= len(data):
                return "other"
            origins.append(self._origin(caller.function, data[place], depth))
        if function in self._roots.bound:
            given, count = self._roots.bound[function]
            asset = given.get(place - (len(body.arguments) - count))
            inside = asset is not None and asset < len(self._assets) and self._assets[asset]
            origins.append("asset" if inside else "other")
        return _agreed(origins)

    def _variable_origin(self, handle: str) -> Origin:
        """Where the value of a variable comes from that nothing but the graph itself can set.

        TensorFlow 2 keeps the path of an asset in a variable (``asset_path_initializer``).
        """
        node = self._graph.nodes.get(handle)
        if node is None or node.op != "VarHandleOp" or self._is_shared(node):
            return "other"
        origins: list[Origin] = []
        for name in self._graph.consumers().get(handle, ()):
            user = self._graph.nodes[name]
            if user.op == "AssignVariableOp" and len(user.inputs) > 1 and user.inputs[0] == handle:
                origins.append(self._origin("", user.inputs[1], _DEEPEST))
            elif user.op not in ("ReadVariableOp", "VarIsInitializedOp") and f"^{handle}" not in user.inputs:
                return "other"
        return _agreed("asset" if origin == "fed asset" else origin for origin in origins)

    def _is_shared(self, handle: Node) -> bool:
        """Whether another handle may stand for the same variable."""
        if any(body.holds_variables for body in self._bodies.functions.values()):
            return True
        name = _shared_name(handle)
        others = (node for node in self._graph.nodes.values() if node.op in ("VarHandleOp", "_VarHandlesOp"))
        return any(node is not handle and (node.op != "VarHandleOp" or _shared_name(node) == name) for node in others)

    def _is_plain(self, function: str, edge: str, depth: int) -> bool:
        """Whether a text is a constant that can't lead out of a folder, or a choice between such."""
        spot = self._spot(function, edge)
        if spot is None or depth > _DEEPEST:
            return False
        texts = spot.texts()
        if texts is not None:
            # A text that ends in a point could become ".." together with the next one, as ".part" of savers can't.
            return bool(texts) and not any(".." in text or text[-1:] == "." for text in texts)
        data = [source for source in spot.inputs if source[:1] != "^"]
        if spot.op == "Identity" and data:
            return self._is_plain(function, data[0], depth + 1)
        if spot.op in ("Select", "SelectV2") and len(data) == 3:
            return all(self._is_plain(function, source, depth + 10) for source in data[1:])
        return False

    def _texts(self, function: str, edge: str) -> tuple[str, ...] | None:
        for _ in range(_DEEPEST):
            spot = self._spot(function, edge)
            if spot is None or spot.op != "Identity" or not spot.inputs:
                return None if spot is None else spot.texts()
            edge = spot.inputs[0]
        return None

    def _spot(self, function: str, edge: str) -> Spot | None:
        """The node that an edge comes from."""
        if not function:
            node = self._graph.nodes.get(split_tensor_name(edge)[0])
            if node is None or node.size_bytes > _LARGEST_NODE:
                return None
            document = Document.of_bytes(node.to_bytes())
            return Spot(document, Field(node_fields.NODE, LENGTH, 0, 0, document.size))
        places = self._places.get(function)
        if places is None:
            places = self._places[function] = node_places(self._bodies, function)
        place = places.get(edge.partition(":")[0])
        return None if place is None else Spot(self._bodies.document, place, function)

    def _calls_of(self, function: str) -> list[tuple[Spot, bool]]:
        """The nodes that name a function, and whether each hands its inputs on to it as they are."""
        if self._callers is None:
            self._callers = {}
            for body in (self._bodies.graph, *self._bodies.functions.values()):
                for spot in body.spots:
                    for call in spot.calls:
                        self._callers.setdefault(call.function, []).append((spot, spot.op in CALL_OPS))
                    self._callers.setdefault(spot.op, []).append((spot, True))
        return self._callers.get(function, [])


def _agreed(origins: Iterable[Origin]) -> Origin:
    found = set(origins)
    return found.pop() if len(found) == 1 else "other"


def _with_index(tensor_name: str) -> str:
    return tensor_name if split_tensor_name(tensor_name)[1] is not None else f"{tensor_name}:0"


def _shared_name(handle: Node) -> bytes:
    attribute = handle.attrs.get("shared_name")
    return (None if attribute is None else attribute.text()) or handle.name.encode()


def _stays_inside(name: str) -> bool:
    """Whether the name of an asset leads to a file below ``assets/``, on whatever system."""
    return bool(name) and not any(
        path.is_absolute() or path.anchor or ".." in path.parts for path in (PurePosixPath(name), PureWindowsPath(name))
    )
