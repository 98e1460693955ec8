"""The files that a meta graph reads when it is loaded.

``asset_file_def`` lists them; where it is empty, as TensorFlow 1 leaves it, the collection ``saved_model_assets`` does
(https://github.com/tensorflow/tensorflow/blob/v2.16.1/tensorflow/cc/saved_model/loader_util.cc, ``GetAssetFileDefs``).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from explorer.savedmodel import wire
from explorer.savedmodel.model import MetaGraph
from explorer.savedmodel.overlay import Document
from explorer.savedmodel.reader import ASSET_FILE_DEF, COLLECTION_DEF, fields_of, map_entry, read_tensor_info
from explorer.savedmodel.wire import Field

# meta_graph.proto, AssetFileDef
_TENSOR_INFO, _FILENAME = 1, 2
# CollectionDef.any_list, CollectionDef.AnyList.value; google.protobuf.Any.value
_ANY_LIST, _ANY, _ANY_VALUE = 5, 1, 2

_COLLECTION: Final = "saved_model_assets"


class AssetFile(NamedTuple):
    """An asset.

    Attributes:
        filename: Its path inside the folder ``assets/``.
        tensor_name: The tensor that the loader feeds with the path.
    """

    filename: str
    tensor_name: str


def read_assets(meta_graph: MetaGraph) -> tuple[AssetFile, ...]:
    """Reads which files a meta graph needs.

    Args:
        meta_graph: One that was read from a file; another lists none.

    Returns:
        The assets in file order.

    Raises:
        FormatError: The list is corrupt.
    """
    document = meta_graph.document
    if document is None:
        return ()
    listed = fields_of(document, meta_graph.field, ASSET_FILE_DEF)
    if not listed:
        listed = _collected(document, meta_graph)
    return tuple(_read_asset(document, entry) for entry in listed)


def _collected(document: Document, meta_graph: MetaGraph) -> list[Field]:
    found: list[Field] = []
    for entry in fields_of(document, meta_graph.field, COLLECTION_DEF):
        name, _, collection = map_entry(document, entry)
        if name == _COLLECTION and collection is not None:
            found = [
                value
                for any_list in fields_of(document, collection, _ANY_LIST)
                for item in fields_of(document, any_list, _ANY)
                for value in fields_of(document, item, _ANY_VALUE)
            ]
    return found


def _read_asset(document: Document, entry: Field) -> AssetFile:
    filename = tensor_name = ""
    for field in fields_of(document, entry, _TENSOR_INFO, _FILENAME):
        if field.number == _FILENAME:
            filename = wire.text(document, field, "the name of an asset")
        else:
            tensor_name = read_tensor_info(document, field).tensor_name or ""
    return AssetFile(filename, tensor_name)
