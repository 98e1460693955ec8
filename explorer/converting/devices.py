"""Where the nodes of a graph were placed on the machine that made it."""

from __future__ import annotations

from collections import Counter

from explorer.converting.inner_nodes import every_node
from explorer.errors import listed
from explorer.savedmodel.graph import read_graph
from explorer.savedmodel.model import MetaGraph


def device_notes(meta_graph: MetaGraph) -> tuple[str, ...]:
    """Says whether nodes are placed on devices, which a machine without these refuses or places elsewhere.

    Args:
        meta_graph: One that was read from bytes.

    Returns:
        One sentence that names the devices, the most used first; nothing where no node is placed.

    Raises:
        FormatError: The graph is corrupt.
    """
    devices = Counter(node.device for node in every_node(read_graph(meta_graph)) if node.device)
    if not devices:
        return ()
    count = devices.total()
    nodes = "one node is" if count == 1 else f"{count} nodes are"
    names = listed([name for name, _ in devices.most_common()], 3)
    return (f"{nodes} placed on devices of the machine that made the graph: {names}",)
