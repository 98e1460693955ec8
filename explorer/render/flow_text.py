"""A flow as nested lists, in text and in HTML: what its picture shows, for those who don't see pictures."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from explorer.diagnosing.flow import Box, Flow, Path, View
from explorer.errors import LONGEST_NAME, printable_name
from explorer.render.drawing import box_words, drawing_svg, make_drawing
from explorer.render.html import page
from explorer.render.markup import Markup, element

MOST_LINES: Final = 300
"""A list is cut after so many boxes."""

_MOST_SOURCES = 4
_LONGEST_LINE = 400


def flow_text(flow: Flow, unfolded: Collection[Path] | None = None) -> str:
    """A flow as an indented list: each box, and what it takes.

    Args:
        flow: The flow.
        unfolded: The groups that are looked into; None for those that one begins with.

    Returns:
        One line for each box that is seen, those in a group below it.

    Raises:
        FormatError: A function is corrupt.
    """
    view = _seen(flow, unfolded)
    lines = [flow_title(flow)]
    for box, taken in _with_sources(view):
        lines.append(f"{'  ' * len(box.path)}{_line(box, taken)}")
    return "\n".join(lines)


def flow_html(flow: Flow, unfolded: Collection[Path] | None = None) -> str:
    """A flow as a picture with a list below it, without a script; where pictures are taken out, the list is left.

    Args:
        flow: The flow.
        unfolded: The groups that are looked into; None for those that one begins with.

    Raises:
        FormatError: A function is corrupt.
    """
    view = _seen(flow, unfolded)
    title = flow_title(flow)
    picture = Markup(drawing_svg(make_drawing(view, title=title)))
    return page(
        element("p", element("strong", title)),
        element("div", picture, class_="sme-scroll", role="group", aria_label=title, tabindex=0),
        element("details", element("summary", "The same as a list"), flow_list(view)),
    )


def flow_list(view: View) -> Markup:
    """What is seen of a flow as lists in lists."""
    inner: dict[Path, list[tuple[Box, str]]] = {}
    for box, taken in _with_sources(view):
        inner.setdefault(box.parent, []).append((box, taken))
    made: dict[Path, Markup] = {}
    for parent in sorted(inner, key=len, reverse=True):  # inner ones first, so that nothing here recurs
        items = [element("li", _line(box, taken), made.get(box.path)) for box, taken in inner[parent]]
        made[parent] = element("ul", items)
    return made.get((), element("ul", element("li", "nothing")))


def flow_title(flow: Flow) -> str:
    """What a picture of a flow is called."""
    return f"What signature {printable_name(flow.signature.key)} runs"


def _seen(flow: Flow, unfolded: Collection[Path] | None) -> View:
    return flow.view(flow.first_unfolded() if unfolded is None else unfolded, most=MOST_LINES)


def _with_sources(view: View) -> list[tuple[Box, str]]:
    """Each box with what it takes."""
    titles = {box.path: box.title for box in view.boxes}
    sources: dict[Path, list[str]] = {}
    for link in view.links:
        if not link.is_order:
            sources.setdefault(link.target, []).append(titles[link.source])
    told = []
    for box in view.boxes:
        names = sources.get(box.path, [])
        more = f" and {len(names) - _MOST_SOURCES} more" if len(names) > _MOST_SOURCES else ""
        shown = [printable_name(name, LONGEST_NAME // 3) for name in names[:_MOST_SOURCES]]
        told.append((box, ", ".join(shown) + more))
    return told


def _line(box: Box, taken: str) -> str:
    words = printable_name(box_words(box), _LONGEST_LINE)
    return f"{words} ← {taken}" if taken else words
