"""Models, tables, findings, differences and code as static HTML: real tables, no script, readable without style.

Viewers such as GitHub strip style elements, classes and attributes; what is left must still read well. Every tag is
made by :mod:`explorer.render.markup`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from explorer.errors import printable_name
from explorer.render.frames import as_table
from explorer.render.markup import Child, Markup, element, join, name_element, root, style_sheet
from explorer.render.overview import overview, serving_status
from explorer.render.special import special_view
from explorer.render.tables import (
    Cell,
    Table,
    cell_text,
    changes_table,
    finding_place,
    header,
    meta_graphs_table,
    signatures_table,
    tensors_table,
    visible_name,
)
from explorer.render.text import SIGNS
from explorer.savedmodel.model import MetaGraph, SavedModel, Signature

if TYPE_CHECKING:
    from explorer.checking.findings import Finding
    from explorer.editing.diff import Change

MOST_ROWS = 1000
"""A table is cut after this many rows."""

MOST_BYTES = 1_500_000
"""Tables end, with a line that says so, once a page has this many bytes; notebooks with larger outputs become slow."""

_ROW_HEADERS = ("signature", "key", "tags", "version", "where")
_CODE_COLUMNS = frozenset(
    {"signature", "signatures", "method", "in_out", "key", "dtype", "shape", "tensor", "default", "tags"}
    | {"where", "before", "after", "code", "folder"}
)
_WRAPPED_COLUMNS = frozenset({"message", "fix"})
_MOST_OPEN = 3
"""A model with more signatures than this shows the tensors of one and folds away the others."""


class _Room:
    """How many bytes a page may still grow."""

    def __init__(self, left: int = MOST_BYTES) -> None:
        self.left = left

    def keep(self, pieces: Iterable[Markup]) -> list[Markup]:
        """The first pieces, as many as fit."""
        kept = []
        for piece in pieces:
            size = len(piece.encode())
            if size > self.left:
                break
            self.left -= size
            kept.append(piece)
        return kept

    def part(self) -> _Room:
        """The room inside a piece that is counted as a whole when it is made."""
        return _Room(self.left)

    def count(self, piece: Markup) -> Markup:
        """Counts a piece that is kept in any case."""
        self.left -= len(piece.encode())
        return piece


def to_html(thing: object) -> str:
    """Shows something of ours as a piece of HTML that brings its style along.

    Args:
        thing: A SavedModel, MetaGraph, Signature, TensorInfo, Table, Verdict, Proof, or a sequence of findings or of
            changes.

    Returns:
        At most 2 MB; what doesn't fit is counted in a line at the end.

    Raises:
        TypeError: It is something else.
    """
    room = _Room()
    if isinstance(thing, SavedModel):
        return page(_model(thing, room))
    if isinstance(thing, MetaGraph):
        return page(_meta_graph(thing, room))
    if isinstance(thing, Signature):
        return page(table_element(tensors_table(thing), room))
    if isinstance(thing, Sequence) and not isinstance(thing, str | bytes):
        from explorer.checking.findings import Finding
        from explorer.editing.diff import Change

        changes = [item for item in thing if isinstance(item, Change)]
        if len(changes) == len(thing) > 0:
            return diff_html(changes)
        findings = [item for item in thing if isinstance(item, Finding)]
        if len(findings) == len(thing):
            return findings_html(findings)
    if (special := special_view(thing)) is not None:
        return special.html(thing)
    return page(table_element(as_table(thing), room))


def findings_html(findings: Iterable[Finding]) -> str:
    """Shows what checks found: severity in words, the message, the fix."""
    every = list(findings)
    if not every:
        return page(element("p", "No findings.", class_="sme-note"))
    kept = _Room().keep(_finding(finding) for finding in every[:MOST_ROWS])
    return page(element("ul", kept, class_="sme-findings"), _left_out(len(every) - len(kept), "finding"))


def diff_html(changes: Iterable[Change]) -> str:
    """Shows what differs between two models: a sign and a word for each, so that colour isn't needed."""
    table = changes_table(changes)
    if not table.rows:
        return page(element("p", "No changes.", class_="sme-note"))
    return page(table_element(table))


def code_html(lines: str | Iterable[str]) -> str:
    """Shows code, one line a line; invisible characters in it become visible."""
    texts = lines.split("\n") if isinstance(lines, str) else list(lines)
    kept = _Room().keep(element("code", text) for text in texts)
    code = element("pre", join(kept, Markup("\n")), class_="sme-code-block", tabindex=0)
    return page(code, _left_out(len(texts) - len(kept), "line"))


def table_element(table: Table, room: _Room | None = None, captioned: bool = True) -> Markup:
    """A table in a box that scrolls by itself, without the root element and the style; for use inside another view.

    Without a caption the title still names the box for screen readers.
    """
    room = room or _Room()
    row_header = next((column for column in _ROW_HEADERS if column in table.columns), None)
    classes = [_cell_class(position, table) for position in range(len(table.columns))]
    headers = [
        element("th", header(column), scope="col", class_=class_ if class_ == "sme-number" else None)
        for column, class_ in zip(table.columns, classes, strict=True)
    ]
    kept = room.keep(_row(table.columns, row, classes, row_header) for row in table.rows[:MOST_ROWS])
    content = element(
        "table",
        name_element(table.title, "caption") if captioned and table.title else None,
        element("thead", element("tr", headers)),
        element("tbody", kept),
        class_="sme-table",
    )
    note = _left_out(len(table.rows) - len(kept), "row") if table.rows else element("p", "(none)", class_="sme-note")
    label = printable_name(table.title) or None
    return join([element("div", content, class_="sme-scroll", role="group", aria_label=label, tabindex=0), note])


def page(*children: Child) -> str:
    """Pieces of a page as they stand alone, their style sheet with them."""
    return str(root(style_sheet(_css()), *children))


@cache
def _css() -> str:
    from importlib.resources import files

    return files("explorer.render").joinpath("style.css").read_text(encoding="utf-8")


def _model(model: SavedModel, room: _Room) -> Markup:
    head = overview(model)
    number, _, others = head.version.partition(" ")
    title = element(
        "p",
        name_element(head.name, "strong", class_="sme-name"),
        join([" ▸ version ", element("strong", number), f" {others}"]) if number else None,
        " ",
        element("span", head.facts, class_="sme-facts"),
        class_="sme-title",
    )
    served, sentence = serving_status(model)
    status = element(
        "p",
        element("span", "●" if served else "○", class_="sme-dot sme-good" if served else "sme-dot sme-bad"),
        " ",
        sentence,
        class_="sme-status",
    )
    parts = [title, status]
    if len(model.meta_graphs) > 1:
        parts.append(room.count(table_element(meta_graphs_table(model), room.part())))
    for position, meta_graph in enumerate(model.meta_graphs):
        if room.left <= 0:
            parts.append(_left_out(len(model.meta_graphs) - position, "meta graph") or Markup())
            break
        parts.append(room.count(_meta_graph(meta_graph, room.part())))
    return join(parts)


def _meta_graph(meta_graph: MetaGraph, room: _Room) -> Markup:
    signatures = list(meta_graph.callable_signatures.values())
    default = meta_graph.default_signature_key or (signatures[0].key if signatures else None)
    parts = [room.count(table_element(signatures_table(meta_graph), room.part()))]
    for position, signature in enumerate(signatures):
        if room.left <= 0 or position >= MOST_ROWS:
            parts.append(_left_out(len(signatures) - position, "signature") or Markup())
            break
        is_open = len(signatures) <= _MOST_OPEN or signature.key == default
        parts.append(room.count(_signature(signature, room.part(), is_open)))
    return element("div", parts, class_="sme-meta-graph")


def _signature(signature: Signature, room: _Room, is_open: bool) -> Markup:
    return element(
        "details",
        element(
            "summary",
            name_element(visible_name(signature.key), class_="sme-code"),
            " · ",
            name_element(signature.method or "no method"),
        ),
        table_element(tensors_table(signature), room, captioned=False),
        open=is_open,
    )


def _row(
    columns: tuple[str, ...], row: tuple[Cell, ...], classes: Sequence[str | None], row_header: str | None
) -> Markup:
    cells = []
    for column, cell, class_ in zip(columns, row, classes, strict=True):
        tag, scope = ("th", "row") if column == row_header else ("td", None)
        if column == "change" and cell in SIGNS:
            word = element("span", f"{SIGNS[cell]} {cell}", class_=f"sme-{cell}")
            cells.append(element(tag, word, class_=class_, scope=scope))
        elif isinstance(cell, str) and column not in _WRAPPED_COLUMNS:
            cells.append(name_element(visible_name(cell), tag, class_=class_, scope=scope))
        else:
            cells.append(element(tag, cell_text(column, cell), class_=class_, scope=scope))
    return element("tr", cells)


def _cell_class(position: int, table: Table) -> str | None:
    if any(isinstance(row[position], int) for row in table.rows[:MOST_ROWS]):
        return "sme-number"
    column = table.columns[position]
    return "sme-code" if column in _CODE_COLUMNS else "sme-wrap" if column in _WRAPPED_COLUMNS else None


def _finding(finding: Finding) -> Markup:
    return element(
        "li",
        element("strong", finding.severity, class_=f"sme-{finding.severity}"),
        " ",
        name_element(finding_place(finding), class_="sme-code"),
        element("br"),
        finding.message,
        join([element("br"), element("em", "Fix: "), finding.fix]) if finding.fix else None,
        element("span", f" ({finding.code})", class_="sme-facts"),
    )


def _left_out(count: int, what: str) -> Markup | None:
    if count <= 0:
        return None
    return element("p", f"… and {count} more {what}{'' if count == 1 else 's'}", class_="sme-note")
