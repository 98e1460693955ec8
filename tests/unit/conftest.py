"""A builder of small SavedModels, byte by byte and without TensorFlow, for tests about graphs and signatures."""

from __future__ import annotations

import pytest

from explorer.savedmodel.model import SavedModel
from explorer.savedmodel.overlay import Document
from explorer.savedmodel.reader import read_document
from explorer.savedmodel.wire import encode_field as field

FLOAT, INT32, STRING, INT64, RESOURCE = 1, 3, 7, 9, 20


class ModelBytes:
    """Collects nodes, signatures and whatever else a test wants, and gives the bytes of a ``saved_model.pb``."""

    def __init__(self, tags: tuple[str, ...] = ("serve",)) -> None:
        self.tags = tags
        self.nodes: list[bytes] = []
        self.ops: list[bytes] = []
        self.library = b""
        self.signatures: list[bytes] = []
        self.extra = b""

    @staticmethod
    def shape(*dims: int | None) -> bytes:
        """A TensorShapeProto; ``shape(...)`` with an Ellipsis is one of unknown rank."""
        if dims == (...,):
            return field(3, 1)
        return b"".join(field(2, field(1, -1 if dim is None else dim)) for dim in dims)

    @staticmethod
    def type_attr(name: str, number: int) -> bytes:
        """An attribute that is a dtype."""
        return field(5, field(1, name) + field(2, field(6, number)))

    @staticmethod
    def attr(name: str, value: bytes) -> bytes:
        """An attribute with a serialized AttrValue."""
        return field(5, field(1, name) + field(2, value))

    def shapes_attr(self, *shapes: bytes) -> bytes:
        """The attribute ``_output_shapes``."""
        return self.attr("_output_shapes", field(1, b"".join(field(7, shape) for shape in shapes)))

    def node(self, name: str, op: str, inputs: tuple[str, ...] = (), attrs: bytes = b"") -> ModelBytes:
        """Adds a node."""
        self.nodes.append(field(1, field(1, name) + field(2, op) + b"".join(field(3, edge) for edge in inputs) + attrs))
        return self

    def op(self, name: str, *outputs: bytes, defaults: bytes = b"") -> ModelBytes:
        """Adds an OpDef with outputs that :meth:`out` made."""
        self.ops.append(field(1, field(1, name) + b"".join(field(3, output) for output in outputs) + defaults))
        return self

    @staticmethod
    def out(
        number: int = 0, type_attr: str = "", number_attr: str = "", list_attr: str = "", ref: bool = False
    ) -> bytes:
        """An ArgDef."""
        return (
            field(1, "out")
            + (field(3, number) if number else b"")
            + (field(4, type_attr) if type_attr else b"")
            + (field(5, number_attr) if number_attr else b"")
            + (field(6, list_attr) if list_attr else b"")
            + (field(16, 1) if ref else b"")
        )

    def usual_ops(self) -> ModelBytes:
        """Adds Placeholder, PlaceholderWithDefault, Add, Cast, Square, NoOp, Const and VarHandleOp."""
        for name, attribute in (
            ("Placeholder", "dtype"),
            ("PlaceholderWithDefault", "dtype"),
            ("Const", "dtype"),
            ("Add", "T"),
            ("Square", "T"),
            ("Cast", "DstT"),
        ):
            self.op(name, self.out(type_attr=attribute))
        return self.op("NoOp").op("VarHandleOp", self.out(RESOURCE))

    def placeholder(
        self, name: str, number: int = FLOAT, shape: bytes | None = None, op: str = "Placeholder"
    ) -> ModelBytes:
        """Adds a placeholder, of shape [?] unless told otherwise."""
        attrs = self.type_attr("dtype", number) + self.shapes_attr(self.shape(None) if shape is None else shape)
        return self.node(name, op, (), attrs)

    def compute(
        self, name: str, *inputs: str, op: str = "Add", number: int = FLOAT, shape: bytes | None = None
    ) -> ModelBytes:
        """Adds a node with one output of shape [?] unless told otherwise."""
        attribute = "DstT" if op == "Cast" else "T"
        attrs = self.type_attr(attribute, number) + self.shapes_attr(self.shape(None) if shape is None else shape)
        return self.node(name, op, inputs, attrs)

    def info(self, tensor_name: str, number: int = FLOAT, shape: bytes | None = None) -> bytes:
        """A TensorInfo, of shape [?] unless told otherwise."""
        shape = self.shape(None) if shape is None else shape
        return field(1, tensor_name) + (field(2, number) if number else b"") + field(3, shape)

    def signature(
        self,
        inputs: dict[str, bytes | str],
        outputs: dict[str, bytes | str],
        key: str = "serving_default",
        method_name: str = "tensorflow/serving/predict",
        defaults: tuple[str, ...] = (),
    ) -> ModelBytes:
        """Adds a signature; a tensor given by its name alone is float32[?]."""
        message = b""
        for number, tensors in ((1, inputs), (2, outputs)):
            for name, tensor in tensors.items():
                info = self.info(tensor) if isinstance(tensor, str) else tensor
                message += field(number, field(1, name) + field(2, info))
        message += field(3, method_name)
        message += b"".join(field(4, field(1, name) + field(2, field(1, FLOAT))) for name in defaults)
        self.signatures.append(field(5, field(1, key) + field(2, message)))
        return self

    def object_graph(self, root: tuple[str, ...], signatures: dict[str, tuple[str, ...] | None]) -> ModelBytes:
        """Adds an object graph: names of the root's children, and signature key → argument keywords."""
        children = [field(1, field(1, 1) + field(2, "signatures"))]
        children += [field(1, field(1, 1) + field(2, name)) for name in root]
        nodes = [b"".join(children)]
        references = b"".join(
            field(1, field(1, position) + field(2, key)) for position, key in enumerate(signatures, start=2)
        )
        nodes.append(references + field(4, field(1, "signature_map")))
        for keywords in signatures.values():
            function = b"" if keywords is None else field(8, b"".join(field(2, keyword) for keyword in keywords))
            nodes.append(function)
        self.extra += field(7, b"".join(field(1, node) for node in nodes))
        return self

    def graph_def(self) -> bytes:
        """The GraphDef."""
        return b"".join(self.nodes) + (field(2, self.library) if self.library else b"")

    def meta_graph(self) -> bytes:
        """The MetaGraphDef, as a field of a SavedModel."""
        info = field(2, b"".join(self.ops)) + b"".join(field(4, tag) for tag in self.tags)
        return field(2, field(1, info) + field(2, self.graph_def()) + b"".join(self.signatures) + self.extra)

    def to_bytes(self) -> bytes:
        """A SavedModel with this one meta graph."""
        return field(1, 1) + self.meta_graph()

    def model(self, *others: ModelBytes) -> SavedModel:
        """The model read back, with the meta graphs of others behind this one."""
        data = self.to_bytes() + b"".join(other.meta_graph() for other in others)
        return read_document(Document.of_bytes(data))


@pytest.fixture
def model_bytes() -> type[ModelBytes]:
    """The class that builds SavedModels byte by byte."""
    return ModelBytes
