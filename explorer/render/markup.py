"""The one place where tags are made: everything that comes from a model is escaped here, and nowhere else.

A text becomes part of a page only as a child or an attribute of :func:`element`. What :func:`element` returns is
:class:`Markup`; joining it with ``+`` or an f-string gives an ordinary ``str``, which is escaped again: a slip shows
as visible tags, never as live ones.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Any

from explorer.errors import LONGEST_NAME, printable_name

LONGEST_TITLE = 10_000
"""A tooltip keeps this many characters of a name; a hostile one can have millions."""

_TAG = re.compile(r"[a-z][a-z0-9]*\Z")
_ATTRIBUTE = re.compile(r"[a-z][a-z0-9-]*\Z")
_ATTRIBUTES = frozenset({"class", "colspan", "id", "lang", "open", "role", "rowspan", "scope", "tabindex", "title"})
_VOID_TAGS = frozenset({"br", "col", "hr", "wbr"})
_RAW_TAGS = frozenset({"script", "style", "template", "iframe", "object", "embed", "svg", "math", "noscript", "xmp"})


class Markup(str):
    """HTML in which everything is escaped that has to be."""

    __slots__ = ()

    def __html__(self) -> str:
        """Itself: the protocol by which template engines know that a text is escaped already."""
        return str(self)


Child = Markup | str | int | None | Iterable[Any]
"""Markup goes in as it is, a text escaped, None not at all; of an iterable, every item."""


def escape(text: str) -> Markup:
    """A text as it stands on a page: HTML's characters escaped, control and bidirectional ones made visible."""
    return Markup(html.escape(printable_name(text, len(text) + 1), quote=True))


def element(tag: str, *children: Child, **attributes: str | int | bool | None) -> Markup:
    """Makes one element.

    Args:
        tag: Its name in lower case. Elements whose content isn't text (``script``, ``style``, ``svg`` …) are refused.
        *children: What stands in it.
        **attributes: ``class_`` is ``class``, ``aria_label`` is ``aria-label``; True gives an attribute without a
            value, None and False none at all. Attributes that can run or fetch something are refused.

    Returns:
        The element.

    Raises:
        ValueError: A tag or attribute that is refused: a slip of ours, whatever the model holds.
    """
    if not _TAG.match(tag) or tag in _RAW_TAGS:
        raise ValueError(f"the element {tag!r} is not made here")
    start = "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in _VOID_TAGS:
        return Markup(f"<{tag}{start}>")
    return Markup(f"<{tag}{start}>{join(children)}</{tag}>")


def join(children: Iterable[Child], separator: Child = None) -> Markup:
    """Children one after the other, with a separator between them."""
    between = _child(separator)
    return Markup(between.join(_child(child) for child in children))


def root(*children: Child) -> Markup:
    """The element around all that is shown in one place.

    Its classes keep MathJax away, which would otherwise typeset (and act on) ``$…$`` in a name:
    https://docs.mathjax.org/en/latest/options/document.html
    """
    return element("div", *children, class_="sme-root tex2jax_ignore mathjax_ignore")


def name_element(name: str, tag: str = "span", **attributes: str | int | bool | None) -> Markup:
    """An element that shows a name from a model; a long one keeps its ends, and the whole of it as a tooltip."""
    if len(name) <= LONGEST_NAME:
        return element(tag, name, **attributes)
    return element(tag, printable_name(name), title=printable_name(name, LONGEST_TITLE), **attributes)


def picture(png: bytes, alt: str, class_: str = "") -> Markup:
    """A picture whose bytes stand in the page, so that nothing is fetched for it.

    Args:
        png: A PNG file that was made here.
        alt: What it shows, in words.
        class_: Its class.

    Raises:
        ValueError: It is no PNG file.
    """
    import base64

    if not png.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError("a picture on a page is a PNG file")
    encoded = base64.b64encode(png).decode("ascii")
    return Markup(f'<img src="data:image/png;base64,{encoded}" alt="{escape(alt)}" class="{escape(class_)}">')


def style_sheet(css: str) -> Markup:
    """A style element with a style sheet of our own.

    Raises:
        ValueError: The text could end the element.
    """
    if "<" in css:
        raise ValueError("a style sheet must not contain '<'")
    return Markup(f"<style>{css}</style>")


def json_for_script(data: object) -> Markup:
    r"""JSON that can stand in a script element: ``<``, ``>`` and ``&`` as ``\u003c`` and so on, all else in ASCII.

    A ``</script>`` in a name would end the element, however well JSON quotes it.
    """
    import json

    text = json.dumps(data)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _child(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return str(child)
    if isinstance(child, str):
        return escape(child)
    if isinstance(child, int):
        return str(int(child))
    return join(child)


def _attribute(name: str, value: str | int | bool | None) -> str:
    name = name.rstrip("_").replace("_", "-")
    allowed = name in _ATTRIBUTES or name.startswith(("aria-", "data-"))
    if not allowed or not _ATTRIBUTE.match(name):
        raise ValueError(f"the attribute {name!r} is not made here")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
