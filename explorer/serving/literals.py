"""Texts and data as literals of other languages, so that no name from a model can act in generated code.

One function a language; each takes any text, also with quotes, line ends, NUL, ``*/`` or ``</script>``, and gives ASCII
that means exactly this text there.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

_MARKER = re.compile(r"«(\w+)»")
_ONLY_MARKER = re.compile(r"\s*«(\w+)»")
_SHORT_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}

# What may end a raw literal or start an interpolation: a backtick in Go and JavaScript, "${" in JavaScript, "</script>"
# and "<!--" where JavaScript stands in a page.
_RISKY_IN_RAW: Final = {"`": "\\u0060", "$": "\\u0024", "<": "\\u003c", "\x7f": "\\u007f"}


def fill(template: str, **values: str) -> str:
    """Puts values into the places ``«name»`` of a template, in one pass: a value is never searched for places.

    Args:
        template: Source code of any language.
        values: Literals and lines by the name of their place. A line that is only a place goes away where the value is
            empty, and else gives its indentation to every line of the value.
    """
    lines = []
    for line in template.strip("\n").split("\n"):
        if only := _ONLY_MARKER.fullmatch(line):
            value = values[only[1]]
            indent = line[: line.index("«")]
            lines += [f"{indent}{part}".rstrip() for part in value.split("\n")] if value else []
        else:
            lines.append(_MARKER.sub(lambda place: values[place[1]], line))
    return "\n".join(lines) + "\n"


def shell_literal(text: str) -> str:
    """A text as one word of a POSIX shell, always in single quotes; a shell knows no NUL, so there may be none."""
    return "'" + text.replace("'", "'\\''") + "'"


def python_literal(value: Any, indent: int = 4, level: int = 0) -> str:
    """Nested data as Python, on several lines; ``nan`` and ``inf`` as those of ``math``.

    Args:
        value: None, True, False, numbers, texts, bytes, and lists and mappings of them.
        indent: Blanks per level.
        level: How deep the literal stands already.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return "math.nan" if math.isnan(value) else "math.inf" if value > 0 else "-math.inf"
    if isinstance(value, str):
        return _quoted(value, _python_escape)
    items = list(value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ())
    if not isinstance(value, Mapping | list | tuple):
        return ascii(value)
    texts = [python_literal(item, indent, level + 1) for item in items]
    start, end = ("{", "}") if isinstance(value, Mapping) else ("[", "]")
    if isinstance(value, Mapping):
        texts = [f"{python_literal(key)}: {text}" for key, text in zip(value, texts, strict=True)]
    if not any(isinstance(item, Mapping | list | tuple) for item in items):
        return start + ", ".join(texts) + end
    inner, outer = "\n" + " " * (indent * (level + 1)), "\n" + " " * (indent * level)
    return start + "".join(f"{inner}{text}," for text in texts) + outer + end


def javascript_literal(text: str) -> str:
    """A text as a string of JavaScript; safe inside a ``<script>`` element too."""
    return json.dumps(text).replace("<", "\\u003c").replace("\x7f", "\\u007f")


def go_literal(text: str) -> str:
    """A text as an interpreted string of Go, byte by byte where it isn't printable ASCII."""
    return _quoted(text, lambda character: "".join(f"\\x{byte:02x}" for byte in _utf8(character)))


def java_literal(text: str) -> str:
    r"""A text as a string of Java.

    Java reads ``\u…`` before it knows what a string is, so that a line end or a quote must not be written that way.
    """
    return _quoted(text, _java_escape)


def raw_json(text: str) -> str:
    """JSON as it can stand between the backticks of a raw string, in Go and of ``String.raw`` in JavaScript.

    What would end the literal is escaped as JSON escapes it: it can stand in the strings of JSON only.

    Args:
        text: JSON in ASCII.
    """
    return "".join(_RISKY_IN_RAW.get(character, character) for character in text)


def java_text_block(text: str, indent: int) -> str:
    r"""Some lines as a text block of Java 15 and later: ``\"\"\"``, the lines, ``\"\"\"``.

    Args:
        text: ASCII without control characters but line ends; no line may end with a blank.
        indent: Blanks before each line, which Java takes away again.
    """
    blanks = " " * indent
    escaped = text.replace("\\", "\\\\").replace('"""', '\\"""').replace("\x7f", "\\177")
    return '"""\n' + "".join(f"{blanks}{line}\n" for line in escaped.split("\n")) + blanks + '"""'


def text_proto_literal(text: str) -> str:
    """A text as a string of protobuf's text format, in octal where it isn't printable ASCII."""
    return _quoted(text, lambda character: "".join(f"\\{byte:03o}" for byte in _utf8(character)))


def yaml_literal(text: str) -> str:
    """A text as a double-quoted scalar of YAML."""
    return _quoted(text, _yaml_escape)


def _quoted(text: str, escape: Any) -> str:
    return '"' + "".join(c if " " <= c <= "~" and c not in '"\\' else _escaped(c, escape) for c in text) + '"'


def _escaped(character: str, escape: Any) -> str:
    return _SHORT_ESCAPES.get(character) or str(escape(character))


def _python_escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_yaml_escape = _python_escape


def _java_escape(character: str) -> str:
    if ord(character) < 0x100:
        return f"\\{ord(character):03o}"
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place] << 8 | units[place + 1]:04x}" for place in range(0, len(units), 2))


def _utf8(character: str) -> bytes:
    """The bytes of a character; a lone surrogate is one byte that wasn't UTF-8 when the text was read, or itself."""
    try:
        return character.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return character.encode("utf-8", "surrogatepass")
