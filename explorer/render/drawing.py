"""A flow as a picture: boxes in layers from the inputs to the outputs, unfolded groups as frames around theirs.

    >>> flow = flow_of(open_saved_model("sample_models/half_plus_two"), "serving_default")
    >>> svg = drawing_svg(make_drawing(flow.view(flow.first_unfolded())))

The text twin is :mod:`explorer.render.flow_text`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from explorer.diagnosing.flow import Box, Link, Path
from explorer.errors import printable_name
from explorer.render.drawing_layout import (
    FACT_PX,
    LINE_PX,
    PAD_X,
    TITLE_PX,
    Drawing,
    DrawnBox,
    DrawnLink,
    make_drawing,
    printable,
)
from explorer.render.svg import number_text, svg_element, svg_markup
from explorer.render.tables import printable_size

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_ARROW_PX: Final = 6.0
_LONGEST_NAME: Final = 400

COLOURS: Final[Mapping[str, tuple[str, float]]] = {
    "input": ("#3b82d6", 0.16), "output": ("#3b82d6", 0.16), "argument": ("#3b82d6", 0.07), "result": ("#3b82d6", 0.07),
    "op": ("#7d8b99", 0.06), "order": ("#7d8b99", 0.0), "placeholder": ("#d0434e", 0.14),
    "variable": ("#2f9150", 0.16), "constant": ("#7d8b99", 0.16), "table": ("#8a63d2", 0.16), "held": ("#2f9150", 0.08),
    "constants": ("#7d8b99", 0.16),
    "call": ("#7d8b99", 0.1), "scope": ("#7d8b99", 0.1), "part": ("#7d8b99", 0.1), "function": ("#b7791f", 0.08),
    "loop": ("#b7791f", 0.13), "branch": ("#b7791f", 0.13), "more": ("#7d8b99", 0.0),
}  # fmt: skip
"""Kind of box → the colour of its line, which is also that of its ground, and how much of it the ground has.

They are of middle brightness, so that they are seen on white and on black; texts have the colour of the page's text.
"""

_LINE_COLOUR: Final = "#7d8b99"
_ROUND: Final = frozenset({"input", "output", "argument", "result", "variable", "constant", "table"})

_WORDS: Final[Mapping[str, str]] = {
    "input": "input", "output": "output", "argument": "argument", "result": "result", "op": "op", "order": "op",
    "placeholder": "placeholder", "variable": "variable", "constant": "constant", "table": "lookup table",
    "held": "what the model holds", "constants": "constants", "call": "call of a function", "scope": "name scope",
    "part": "part", "function": "function", "loop": "loop", "branch": "branch", "more": "left out",
}  # fmt: skip


def drawing_svg(drawing: Drawing, *, standalone: bool = False) -> str:
    """A picture as SVG, for a page or a file.

    On a page it has the colour of the page's text and no ground of its own, so it is readable in light and in dark.

    Args:
        drawing: The picture.
        standalone: Whether it is for a file of its own, which then has a white ground.

    Returns:
        One ``svg`` element, without style, script or anything that is fetched.
    """
    children = [svg_element("title", drawing.title), svg_element("desc", drawing.about)]
    if standalone:
        children.append(svg_element("rect", width="100%", height="100%", fill="#ffffff"))
    frames = [one for one in drawing.boxes if one.box.unfolded]
    others = [one for one in drawing.boxes if not one.box.unfolded]
    children += [_box_element(one) for one in frames]
    children += [_link_element(one) for one in drawing.links]
    children += [_head_element(one) for one in frames]
    children += [_box_element(one) for one in others]
    root = svg_element(
        "svg", *children, class_="sme-drawing", role="img", width=drawing.width, height=drawing.height,
        viewBox=f"0 0 {number_text(drawing.width)} {number_text(drawing.height)}",
        font_family='ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace', font_size=TITLE_PX,
        color="#1f2328" if standalone else None,
    )  # fmt: skip
    return svg_markup(root)


def drawing_data(drawing: Drawing, ids: Mapping[Path, str]) -> dict[str, Any]:
    """A picture as plain data, for the script that shows it live.

    Args:
        drawing: The picture.
        ids: What each box is called in messages, by its path.

    Returns:
        Numbers and printable texts; no name of a model is a key in it.
    """
    return {
        "width": drawing.width,
        "height": drawing.height,
        "title": printable_name(drawing.title),
        "about": drawing.about,
        "boxes": [_box_data(one, ids) for one in drawing.boxes],
        "links": [
            {
                "source": ids[one.link.source],
                "target": ids[one.link.target],
                "d": line_path(one.points),
                "arrow": arrow_path(one.points),
                "order": one.link.is_order,
                "about": printable("\n".join(_told(one.link))),
            }
            for one in drawing.links
        ],
    }


def box_words(box: Box) -> str:
    """What a box is, in one line: for those who hear it, and beside the picture."""
    state = ("unfolded" if box.unfolded else "folded") if box.can_unfold else ""
    size = printable_size(box.size_bytes) if box.size_bytes else ""
    return ", ".join(filter(None, (box.title, _WORDS.get(box.kind, box.kind), *box.facts, size, state)))


def box_details(box: Box) -> list[tuple[str, str]]:
    """All that is known of a box, as labels and texts."""
    rows = [
        ("name", box.name), ("op", box.op), ("gives", "; ".join(box.tensors)),
        ("size", "" if box.size_bytes is None else printable_size(box.size_bytes)),
        ("ops", str(box.op_count) if box.op_count > 1 else ""), ("runs", ", ".join(box.functions)),
        ("stands in", box.function), ("device", box.device),
    ]  # fmt: skip
    return [(label, printable_name(text, _LONGEST_NAME)) for label, text in rows if text]


def line_path(points: Sequence[tuple[float, float]]) -> str:
    """The points of a line as an SVG path, with bends where it goes sideways; its end leaves room for the arrow."""
    points = [*points[:-1], (points[-1][0], points[-1][1] - _ARROW_PX)]
    (x, y), *others = points
    parts = [f"M{number_text(x)} {number_text(y)}"]
    for next_x, next_y in others:
        if next_x == x or next_y == y:
            parts.append(f"L{number_text(next_x)} {number_text(next_y)}")
        else:
            middle = number_text((y + next_y) / 2)
            parts.append(
                f"C{number_text(x)} {middle} {number_text(next_x)} {middle} {number_text(next_x)} {number_text(next_y)}"
            )
        x, y = next_x, next_y
    return "".join(parts)


def arrow_path(points: Sequence[tuple[float, float]]) -> str:
    """The head of a line's arrow, which always points down, as an SVG path."""
    x, y = points[-1]
    left, right, top = number_text(x - 3.5), number_text(x + 3.5), number_text(y - _ARROW_PX)
    return f"M{left} {top}L{right} {top}L{number_text(x)} {number_text(y)}Z"


# ---------------------------------------------------------------- texts


def _told(link: Link) -> list[str]:
    if link.is_order:
        return ["runs before"]
    more = link.count - len(link.tensors)
    return [*link.tensors, *([f"and {more} more"] if more > 0 else [])]


def _head(drawn: DrawnBox) -> str:
    return drawn.title if not drawn.lines else f"{drawn.title} · {drawn.lines[0]}"


# ---------------------------------------------------------------- elements


def _box_element(drawn: DrawnBox) -> Element:
    box = drawn.box
    colour, ground = COLOURS.get(box.kind, COLOURS["op"])
    is_frame = box.unfolded
    rect = svg_element(
        "rect", x=drawn.x, y=drawn.y, width=drawn.width, height=drawn.height, rx=_radius(drawn), stroke=colour,
        fill=colour, fill_opacity=str(min(ground, 0.05) if is_frame else ground),
        stroke_dasharray="4 3" if box.kind in ("more", "order") else None,
    )  # fmt: skip
    children = [svg_element("title", "\n".join(f"{label}: {text}" for label, text in box_details(box))), rect]
    if not is_frame:
        children += _text_elements(drawn)
    return svg_element("g", *children, class_=f"sme-box-{box.kind}")


def _text_elements(drawn: DrawnBox) -> list[Element]:
    x = drawn.x + drawn.width / 2
    height = TITLE_PX + LINE_PX * len(drawn.lines)
    y = drawn.y + (drawn.height - height) / 2 + TITLE_PX - 2
    sign = "+ " if drawn.box.can_unfold else ""
    made = [
        svg_element("text", sign + drawn.title, x=x, y=y, text_anchor="middle", fill="currentColor", font_weight="bold")
    ]
    for line in drawn.lines:
        y += LINE_PX
        made.append(svg_element("text", line, x=x, y=y, text_anchor="middle", fill="currentColor", font_size=FACT_PX))
    return made


def _head_element(drawn: DrawnBox) -> Element:
    return svg_element(
        "text", f"− {_head(drawn)}", x=drawn.x + PAD_X, y=drawn.y + 17, fill="currentColor", font_size=FACT_PX,
        font_weight="bold",
    )  # fmt: skip


def _link_element(drawn: DrawnLink) -> Element:
    is_order = drawn.link.is_order
    return svg_element(
        "g",
        svg_element("title", "\n".join(_told(drawn.link))),
        svg_element(
            "path",
            d=line_path(drawn.points),
            fill="none",
            stroke=_LINE_COLOUR,
            stroke_dasharray="3 3" if is_order else None,
        ),  # fmt: skip
        svg_element("path", d=arrow_path(drawn.points), fill=_LINE_COLOUR),
        class_="sme-order" if is_order else "sme-link",
    )


def _box_data(drawn: DrawnBox, ids: Mapping[Path, str]) -> dict[str, Any]:
    box = drawn.box
    return {
        "id": ids[box.path],
        "parent": ids.get(box.parent, ""),
        "level": len(box.path),
        "kind": box.kind,
        "x": round(drawn.x, 1),
        "y": round(drawn.y, 1),
        "width": round(drawn.width, 1),
        "height": round(drawn.height, 1),
        "rx": _radius(drawn),
        "title": drawn.title,
        "lines": list(drawn.lines),
        "head": _head(drawn),
        "words": printable_name(box_words(box), _LONGEST_NAME),
        "details": [list(row) for row in box_details(box)],
        "folds": box.can_unfold,
        "unfolded": box.unfolded,
    }


def _radius(drawn: DrawnBox) -> float:
    return min(drawn.height / 2, 14.0) if drawn.box.kind in _ROUND else 5.0


__all__ = [
    "COLOURS",
    "Drawing",
    "DrawnBox",
    "DrawnLink",
    "box_details",
    "box_words",
    "drawing_data",
    "drawing_svg",
    "make_drawing",
]
