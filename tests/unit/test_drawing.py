"""The picture of a flow: nothing overlaps, lines end at boxes, the same is drawn alike, and names stay text."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.diagnosing.flow import Box, Link, View, flow_of
from explorer.render.drawing import (
    Drawing,
    DrawnBox,
    box_details,
    box_words,
    drawing_data,
    drawing_svg,
    line_path,
    make_drawing,
)
from explorer.render.flow_text import flow_html, flow_text
from explorer.render.layers import BOTTOM, TOP, Block, Wire, place
from explorer.render.svg import svg_element, svg_markup
from explorer.savedmodel.opening import open_saved_model

SVG = "{http://www.w3.org/2000/svg}"
NEAR = 0.01
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a\u202eb\x00",
    "]]>",
    "\ufffe",
    "&lt;",
    "x" * 5000,
)


def box(name: str, kind: str = "op", parent: tuple[str, ...] = (), **about: Any) -> Box:
    """A box."""
    return Box((*parent, name), parent, kind, about.pop("title", name), name, **about)


def inside(inner: DrawnBox, outer: DrawnBox) -> bool:
    """Whether a box lies in another."""
    return (
        inner.x >= outer.x - NEAR
        and inner.y >= outer.y - NEAR
        and inner.x + inner.width <= outer.x + outer.width + NEAR
        and inner.y + inner.height <= outer.y + outer.height + NEAR
    )


def apart(one: DrawnBox, other: DrawnBox) -> bool:
    """Whether two boxes have nothing in common."""
    return (
        one.x + one.width <= other.x + NEAR
        or other.x + other.width <= one.x + NEAR
        or one.y + one.height <= other.y + NEAR
        or other.y + other.height <= one.y + NEAR
    )


def check_places(drawing: Drawing) -> None:
    """Boxes of one frame are apart and in it, lines leave below and come in above, and all is in the picture."""
    drawn = {one.box.path: one for one in drawing.boxes}
    whole = DrawnBox(box("whole"), 0, 0, drawing.width, drawing.height, "")
    for position, one in enumerate(drawing.boxes):
        assert inside(one, drawn.get(one.box.parent, whole))
        for other in drawing.boxes[:position]:
            if other.box.parent == one.box.parent:
                assert apart(one, other), (one.box.path, other.box.path)
    for link in drawing.links:
        source, target = drawn[link.link.source], drawn[link.link.target]
        (start_x, start_y), (end_x, end_y) = link.points[0], link.points[-1]
        assert source.x - NEAR <= start_x <= source.x + source.width + NEAR
        assert abs(start_y - source.y - source.height) < NEAR
        assert target.x - NEAR <= end_x <= target.x + target.width + NEAR
        assert abs(end_y - target.y) < NEAR
        assert all(-NEAR <= x <= drawing.width + NEAR and -NEAR <= y <= drawing.height + NEAR for x, y in link.points)


@st.composite
def views(draw: Callable[[Any], Any]) -> View:
    """Boxes in frames in frames, with links between any two of which neither is in the other."""
    boxes: list[Box] = []
    frames: list[tuple[str, ...]] = [()]
    for number in range(draw(st.integers(1, 25))):
        parent = draw(st.sampled_from(frames))
        unfolded = draw(st.integers(0, 4)) == 0 and len(parent) < 5
        kind = draw(st.sampled_from(["op", "variable", "scope", "held", "call"]))
        facts = tuple(
            draw(st.lists(st.sampled_from(["float32[?, 10]", "MatMul", "a fact of some length"]), max_size=3))
        )
        one = Box(
            (*parent, f"b{number}"),
            parent,
            kind,
            f"box {number}",
            "n",
            facts=facts,
            can_unfold=unfolded,
            unfolded=unfolded,
        )
        boxes.append(one)
        if unfolded:
            frames.append(one.path)
    ordered = sorted(boxes, key=lambda one: [(int(step[1:])) for step in one.path])
    links = {}
    for source, target in draw(st.lists(st.tuples(st.sampled_from(boxes), st.sampled_from(boxes)), max_size=40)):
        shorter = min(len(source.path), len(target.path))
        if source.path[:shorter] != target.path[:shorter]:
            links[source.path, target.path] = Link(source.path, target.path, ("x:0",), 1, draw(st.booleans()))
    return View(tuple(ordered), tuple(links.values()))


@given(views())
def test_nothing_overlaps_and_lines_end_at_boxes(view: View) -> None:
    """Whatever hangs together with whatever, through frames and round in circles, the places are right."""
    drawing = make_drawing(view, orders=True)
    assert len(drawing.boxes) == len(view.boxes) and len(drawing.links) == len(view.links)
    check_places(drawing)
    assert drawing == make_drawing(view, orders=True)
    ElementTree.fromstring(drawing_svg(drawing))


@given(
    st.lists(st.tuples(st.floats(1, 300), st.floats(1, 200)), min_size=1, max_size=40),
    st.lists(st.tuples(st.integers(0, 39), st.integers(0, 39)), max_size=80),
)
def test_layers_go_down_but_for_circles(sizes: list[tuple[float, float]], ends: list[tuple[int, int]]) -> None:
    """Of a graph without circles every line goes down, each block is placed, and no two touch."""
    wires = [Wire(one % len(sizes), other % len(sizes)) for one, other in ends]
    wires = [Wire(min(wire), max(wire)) for wire in [(one.source, one.target) for one in wires] if wire[0] != wire[1]]
    places = place([Block(*size) for size in sizes], wires)
    for wire in wires:
        assert places.corners[wire.target][1] >= places.corners[wire.source][1] + sizes[wire.source][1]
    for line, wire in zip(places.lines, wires, strict=True):
        assert line[0][1] == pytest.approx(places.corners[wire.source][1] + sizes[wire.source][1])
        assert all(later[1] >= earlier[1] - NEAR for earlier, later in zip(line, line[1:], strict=False))


def test_circle_goes_round_its_boxes() -> None:
    """A way back leaves below, turns, goes up beside the boxes, and comes in above; the order given is kept."""
    places = place([Block(50, 20), Block(50, 20), Block(50, 20)], [Wire(0, 1), Wire(1, 2), Wire(2, 0)])
    tops = [y for _, y in places.corners]
    assert tops == sorted(tops)
    back = places.lines[2]
    assert back[0][1] < back[1][1] and back[-2][1] < back[-1][1]
    assert any(not 0 <= x - places.corners[1][0] <= 50 for x, _ in back)


def test_edges_of_a_frame_are_at_its_edges() -> None:
    """What must be at the upper or lower side is there, also where nothing is joined to it."""
    places = place([Block(0, 0, TOP), Block(80, 30), Block(0, 0, BOTTOM), Block(20, 20)], [Wire(0, 1), Wire(1, 2)])
    assert places.corners[0][1] == 0 and places.corners[2][1] == places.height
    assert place([], []).corners == []


def test_crossings_are_undone() -> None:
    """Two lines that would cross in the order given don't cross in the picture."""
    places = place([Block(50, 20)] * 4, [Wire(0, 3), Wire(1, 2)])
    (left, _), (right, _), (under_right, _), (under_left, _) = places.corners
    assert (left < right) == (under_left < under_right)


def test_chain_is_straight() -> None:
    """Boxes of different widths in a row stand below each other."""
    places = place([Block(50, 20), Block(150, 20), Block(80, 20)], [Wire(0, 1), Wire(1, 2)])
    assert {x for line in places.lines for x, _ in line} == {75.0}


def test_what_is_held_stands_near_what_takes_it() -> None:
    """A variable of the last op stands above that op and not beside the inputs."""
    boxes = [box("x", "input"), box("a"), box("b"), box("w", "variable"), box("c")]
    ends = [("x", "a"), ("a", "b"), ("b", "c"), ("w", "c")]
    drawing = make_drawing(View(tuple(boxes), tuple(Link((one,), (other,)) for one, other in ends)))
    tops = {one.box.name: one.y + one.height for one in drawing.boxes}
    assert tops["w"] == tops["b"] > tops["a"]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text(name: str) -> None:
    """A name from a model is text and tooltip in the picture, in one SVG element without anything that runs."""
    boxes = (
        box("a", title=name, facts=(name, name), tensors=(name,), function=name, device=name),
        box("f", "scope", can_unfold=True, unfolded=True, title=name),
        box("b", parent=("f",), title=name),
    )
    drawing = make_drawing(View(boxes, (Link(("a",), ("f", "b"), (name,), 1),)), title=name)
    check_places(drawing)
    for text in (drawing_svg(drawing), drawing_svg(drawing, standalone=True)):
        root = ElementTree.fromstring(text)
        assert {one.tag for one in root.iter()} <= {
            f"{SVG}{tag}" for tag in ("svg", "g", "rect", "path", "text", "title", "desc")
        }
        names = {key for one in root.iter() for key in one.attrib}
        assert not [key for key in names if key.startswith("on") or "href" in key or key == "style"]
        assert "<script" not in text and "<img" not in text and "\u202e" not in text and "\x00" not in text
        assert len(text) < 100_000


def test_texts_fit_into_their_boxes() -> None:
    """A long name keeps both ends, and no line is wider than its box, at the width of a monospaced letter."""
    name = "StatefulPartitionedCall/" + "very_long_layer_name_" * 5 + "MatMul"
    drawing = make_drawing(
        View((box("a", title=name, facts=(name, "float32[?, 10]"), size_bytes=123456, can_unfold=True),), ())
    )
    [drawn] = drawing.boxes
    assert drawn.title.startswith("Stateful") and drawn.title.endswith("MatMul") and "…" in drawn.title
    assert len(f"+ {drawn.title}") * 7.23 <= drawn.width and all(
        len(line) * 6.63 <= drawn.width for line in drawn.lines
    )
    assert drawn.lines[-1] == "float32[?, 10] · 123.5 KB"


def test_svg_makes_nothing_that_runs() -> None:
    """Elements and attributes that are not on the lists are refused, whoever asks."""
    for tag in ("script", "a", "image", "use", "style", "foreignObject", "animate"):
        with pytest.raises(ValueError, match="is not made here"):
            svg_element(tag)
    for attribute in ("onclick", "href", "style", "xlink_href", "data_x"):
        with pytest.raises(ValueError, match="is not made here"):
            svg_element("g", **{attribute: "x"})
    made = svg_element("text", "a<b", svg_element("tspan", "&"), x=1.26, class_="c", fill=None)
    assert (
        svg_markup(made)
        == '<text x="1.3" class="c" xmlns="http://www.w3.org/2000/svg">a&lt;b<tspan>&amp;</tspan></text>'
    )


def test_lines_bend_only_sideways() -> None:
    """A line straight down is straight, one to the side is a curve that begins and ends going down."""
    assert line_path([(5, 0), (5, 40)]) == "M5 0L5 34"
    assert line_path([(0, 0), (10, 46)]) == "M0 0C0 20 10 20 10 40"


def test_data_for_the_page_has_no_names_as_keys(sample_models: Path) -> None:
    """Boxes and lines are told by ids, and every text in them is printable."""
    flow = flow_of(open_saved_model(sample_models / "control_flow"), "serving_default")
    view = flow.view(flow.first_unfolded())
    ids = {one.path: f"id{number}" for number, one in enumerate(view.boxes)}
    data = drawing_data(make_drawing(view, orders=True), ids)
    known = {one["id"] for one in data["boxes"]}
    assert known == set(ids.values()) and len(data["links"]) == len(view.links)
    assert all({link["source"], link["target"]} <= known for link in data["links"])
    assert all(one["parent"] in known | {""} for one in data["boxes"])
    assert all(text.isprintable() for one in data["boxes"] for text in (one["title"], one["words"], *one["lines"]))


def test_words_tell_what_is_seen() -> None:
    """What a box is told as names it, its kind, its facts and whether it is folded."""
    group = box("s:a/b", "scope", title="b", facts=("12 ops",), can_unfold=True, size_bytes=2000, op_count=12)
    assert box_words(group) == "b, name scope, 12 ops, 2.0 KB, folded"
    assert dict(box_details(group)) == {"name": "s:a/b", "size": "2.0 KB", "ops": "12"}


def test_control_edges_are_drawn_when_asked_for(sample_models: Path) -> None:
    """They are dashed and apart from what carries values."""
    flow = flow_of(open_saved_model(sample_models / "module"), "serving_default")
    view = flow.view(flow.first_unfolded())
    orders = [link for link in view.links if link.is_order]
    without, with_them = make_drawing(view), make_drawing(view, orders=True)
    assert orders and len(with_them.links) - len(without.links) == len(orders)
    assert "sme-order" not in drawing_svg(without) and drawing_svg(with_them).count("sme-order") == len(orders)


def test_list_tells_what_the_picture_shows(sample_models: Path) -> None:
    """Each box of the picture is a line of the text and an item of the list, with what it takes."""
    flow = flow_of(open_saved_model(sample_models / "control_flow"), "serving_default")
    view = flow.view(flow.first_unfolded())
    lines = flow_text(flow).splitlines()
    assert lines[0] == "What signature serving_default runs" and len(lines) == 1 + len(view.boxes)
    assert "      Sum, op, Sum, float32[] ← while, [0, 1]" in lines
    page = flow_html(flow)
    assert page.count("<li>") == len(view.boxes)
    without_pictures = re.sub(r"<svg.*?</svg>|<style>.*?</style>", "", page, flags=re.DOTALL)
    assert "Greater, op, Greater, bool[] ← Sum, 10" in without_pictures.replace("&gt;", ">")
    assert "<script" not in page


def test_pictures_of_sample_models(sample_models: Path) -> None:
    """Every signature of every sample model has a picture with right places and a well-formed SVG."""
    for folder in sorted(sample_models.iterdir()):
        if not folder.is_dir() or folder.name in ("broken", "checkpoints", "recipes"):
            continue
        for meta_graph in open_saved_model(folder).meta_graphs:
            for key in meta_graph.callable_signatures:
                flow = flow_of(meta_graph, key)
                drawing = make_drawing(flow.view(flow.first_unfolded()), orders=True)
                check_places(drawing)
                assert drawing.width < 4000
                ElementTree.fromstring(drawing_svg(drawing))


def test_hostile_models_are_drawn(sample_models: Path) -> None:
    """Names that attack, in nodes and keys, come out as text."""
    for name in ("hostile_nodes", "hostile_names"):
        for meta_graph in open_saved_model(sample_models / "broken" / name).meta_graphs:
            for key in meta_graph.callable_signatures:
                flow = flow_of(meta_graph, key)
                page = flow_html(flow)
                tags = set(re.findall(r"<([a-z]+)", page))
                assert tags <= {
                    "div", "style", "p", "strong", "svg", "title", "desc", "g", "rect", "path", "text", "details",
                    "summary", "ul", "li",
                }  # fmt: skip
