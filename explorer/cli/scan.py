"""``scan``: what a model can reach besides its tensors, and whether loading it is enough."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING

from explorer.cli.printing import print_text, tag_list

if TYPE_CHECKING:
    from collections.abc import Iterable

    from explorer.checking.capabilities import Capability
    from explorer.savedmodel.model import SavedModel

_MOST_ROWS = 500


def scan(options: argparse.Namespace) -> int:
    """Looks through the graph of a model, which is not run.

    Returns:
        0 where nothing was found, 1 where something was.

    Raises:
        SourceError: There is no SavedModel at the path.
        FormatError: It can't be read whole, so that it can't be told what it reaches.
        NotFoundError: It has no such meta graph.
    """
    from explorer.checking.capabilities import dangers
    from explorer.checking.capabilities import scan as scan_model
    from explorer.savedmodel.opening import open_saved_model

    model = open_saved_model(options.path, options.version)
    every = scan_model(model, own=True)
    if options.tags is not None:
        tags = model.meta_graph(tag_list(options.tags)).tags
        every = tuple(capability for capability in every if capability.tags == tags)
    found = dangers(every)
    if options.json:
        import json

        own = [capability.to_dict() for capability in every if capability.own]
        findings = [capability.to_dict() for capability in found]
        data = {"path": str(model.path), "version": model.version, "findings": findings, "own": own}
        print(json.dumps(data, indent=2))
    else:
        _print_table(model, found, len(every) - len(found))
    return 1 if found else 0


def _print_table(model: SavedModel, found: tuple[Capability, ...], own: int) -> None:
    from explorer.errors import printable_name
    from explorer.render.tables import Table
    from explorer.render.text import table_text

    if not found:
        print_text("nothing was found: every op only computes, or reads and writes the model's own files")
        return
    several = len({meta_graph.tags for meta_graph in model.meta_graphs}) > 1
    rows = Counter(
        (
            *((",".join(sorted(capability.tags)) or "(no tag)",) if several else ()),
            capability.op,
            capability.kind,
            capability.where,
            capability.reached or None,
            capability.when,
            _by(capability),
            capability.target or None,
        )
        for capability in found
    )
    columns = ("op", "kind", "where", "reached", "when", "by", "file", "nodes")
    table = Table(
        "What the model can reach besides its tensors",
        ("tags", *columns) if several else columns,
        tuple((*row, count) for row, count in list(rows.items())[:_MOST_ROWS]),
    )
    print_text(table_text(table))
    if len(rows) > _MOST_ROWS:
        print_text(f"  … and {len(rows) - _MOST_ROWS} more rows: see --json")
    from explorer.checking.capability_ops import KIND_TITLES

    kinds = dict.fromkeys(capability.kind for capability in found)
    print_text("\n" + "\n".join(f"{kind}: {KIND_TITLES[kind]}" for kind in kinds))
    if own:
        print_text(f"Not counted: {own} that only read or write the model's own checkpoint and assets.")
    print_text(printable_name(_advice(found)))


def _by(capability: Capability) -> str | None:
    """What makes it run, in short."""
    names = (*capability.started_by, *capability.signatures, *[f"{name}()" for name in capability.methods])
    return (", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")) or None


def _advice(found: Iterable[Capability]) -> str:
    if any(capability.when == "load" for capability in found):
        return "Loading the model is enough to run what is marked so: load it only where that may happen."
    return "Nothing of it runs before somebody calls the model."
