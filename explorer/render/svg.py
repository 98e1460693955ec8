"""SVG, made as :mod:`explorer.render.markup` makes HTML: what comes from a model is text in it and nothing else.

Elements are made and written by the standard library's ElementTree, which escapes all that it writes; only what is on
the lists here can be made, so that a picture neither runs nor fetches anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from explorer.errors import printable_name
from explorer.render.markup import Markup

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_NAMESPACE: Final = "http://www.w3.org/2000/svg"
_TAGS: Final = frozenset({"svg", "g", "rect", "path", "text", "tspan", "title", "desc"})
_ATTRIBUTES: Final = frozenset(
    {"class", "role", "x", "y", "dx", "dy", "width", "height", "rx", "ry", "d", "fill", "fill-opacity", "stroke"}
    | {"stroke-width", "stroke-dasharray", "stroke-linejoin", "text-anchor", "font-family", "font-size"}
    | {"font-weight", "viewBox", "transform", "id", "lang", "color"}
)


def svg_element(tag: str, *children: Element | str, **attributes: str | float | None) -> Element:
    """Makes one element.

    Args:
        tag: Its name.
        *children: Elements, or one text, which becomes printable.
        **attributes: ``class_`` is ``class``, ``fill_opacity`` is ``fill-opacity``, None gives none.

    Returns:
        The element.

    Raises:
        ValueError: A tag or attribute that isn't made here: a slip of ours, whatever the model holds.
    """
    from xml.etree.ElementTree import Element

    if tag not in _TAGS:
        raise ValueError(f"the SVG element {tag!r} is not made here")
    made = Element(tag)
    for name, value in attributes.items():
        name = name.rstrip("_").replace("_", "-")
        if name not in _ATTRIBUTES and not name.startswith("aria-"):
            raise ValueError(f"the SVG attribute {name!r} is not made here")
        if value is not None:
            made.set(name, number_text(value) if isinstance(value, int | float) else _printable(value))
    for child in children:
        if isinstance(child, str):
            made.text = (made.text or "") + _printable(child)
        else:
            made.append(child)
    return made


def svg_markup(root: Element) -> Markup:
    """An ``svg`` element as it stands on a page, or in a file of its own."""
    from xml.etree.ElementTree import tostring

    root.set("xmlns", _NAMESPACE)
    return Markup(tostring(root, encoding="unicode"))


def number_text(value: float) -> str:
    """A number with one digit behind the point at most, which is a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")


def _printable(text: str) -> str:
    text = printable_name(text, len(text) + 1)
    # U+FFFE and U+FFFF, which no XML may hold, are not among what is invisible.
    return "".join(f"\\u{ord(one):04x}" if ord(one) & 0xFFFE == 0xFFFE else one for one in text)
