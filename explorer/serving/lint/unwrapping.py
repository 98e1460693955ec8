"""What stands around a body by mistake: another encoding, a form, a string, a list, a shell's backslashes."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote_to_bytes

from explorer.errors import printable_name
from explorer.serving.lint.draft import Draft
from explorer.serving.lint.reading import Reading, read_body
from explorer.serving.lint.structure import BOM, Slip
from explorer.serving.lint.tree import Node, new_array, new_object

TOP_LEVEL_KEYS: Final = ("instances", "inputs", "examples")

_UTF16: Final = ((b"\xff\xfe\x00\x00", "utf-32"), (b"\x00\x00\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"),
                 (b"\xfe\xff", "utf-16"))  # fmt: skip
_FORM: Final = re.compile(rb"\s*[A-Za-z_][\w.]*=[^&\s]*(?:&[\w.%\[\]]+=[^&\s]*)*\s*")
_FORM_KEY: Final = re.compile(rb"\s*(instances|inputs|examples|signature_name)=(?!=)")
_ESCAPED_QUOTES: Final = re.compile(rb'\s*[\[{]\s*\\"')


class Opened(NamedTuple):
    """A body that was read, whatever stood around it.

    Attributes:
        reading: What was read.
        slips: What was wrong around it.
    """

    reading: Reading
    slips: tuple[Slip, ...] = ()


def open_body(body: bytes) -> Opened:
    """Reads a body, after what stands around it is taken away."""
    for read in (_empty, _file_name, _compressed, _wide, _form, _escaped):
        opened = read(body)
        if opened is not None:
            return opened
    return Opened(read_body(body))


def _slip(code: str, message: str, change: str = "", stop: str = "") -> Slip:
    return Slip(code, 0, Node("null"), message, change, stop)


def _nothing(code: str, message: str, stop: str) -> Opened:
    return Opened(Reading(None, (), 0, True), (_slip(code, message, stop=stop),))


def _empty(body: bytes) -> Opened | None:
    if body.removeprefix(BOM).strip(b" \t\r\n"):
        return None
    message = "the body is empty; send an object such as {\"instances\": [1.0]} as the data of a POST"  # fmt: skip
    return _nothing("empty_body", message, "there is nothing to correct")


def _file_name(body: bytes) -> Opened | None:
    """What ``--data-raw @file`` of curl sends, which is not the file."""
    text = body.strip()
    if not text.startswith(b"@") or b"\n" in text or b"{" in text:
        return None
    name = printable_name(text[1:].decode("utf-8", "replace"), 80)
    return _nothing(
        "curl_file",
        f"the body is the text @{name}, not the file of that name; curl reads a file for -d @{name} and "
        f"--data-binary @{name}, not for --data-raw, and nothing else does it",
        "the file itself is needed",
    )


def _compressed(body: bytes) -> Opened | None:
    if not body.startswith(b"\x1f\x8b"):
        return None
    return _nothing(
        "gzip",
        "the body is compressed with gzip; the server unpacks it only with the header Content-Encoding: gzip, so send "
        "that header or the plain text",
        "the text is needed as it was before it was compressed",
    )


def _wide(body: bytes) -> Opened | None:
    """UTF-16 and UTF-32, as PowerShell writes files."""
    name = next((codec for mark, codec in _UTF16 if body.startswith(mark)), "")
    if not name and b"\x00" in body[:4]:
        start = body[:4]
        name = "utf-32" if start.count(0) == 3 else "utf-16"
        name += "-be" if start[0] == 0 else "-le"
    if not name:
        return None
    try:
        text = body.decode(name).removeprefix("\ufeff")
    except UnicodeDecodeError:
        return None
    message = f"the body is {name[:6].upper()}; the server reads UTF-8 only, so save and send it as UTF-8"
    return Opened(read_body(text.encode("utf-8", "replace"), 0), (_slip("utf16", message, "it became UTF-8"),))


def _form(body: bytes) -> Opened | None:
    """A form as browsers send it, and as clients do that get a dict where they want text."""
    start = body.lstrip()[:3].lower()
    message = (
        "the body is a form (key=value&…), as curl's --data-urlencode and the data= of Python's requests send it; the "
        "server reads JSON whatever the Content-Type, so send json="
    )
    if start in (b"%7b", b"%5b"):
        text = unquote_to_bytes(body.strip().replace(b"+", b"%20"))
        return Opened(read_body(text, 0), (_slip("form_encoded", message, "it was decoded"),))
    known = _FORM_KEY.match(body)
    if known is None and (not _FORM.fullmatch(body) or body.lstrip().find(b"=") > 100):
        return None
    try:
        pairs = parse_qsl(body.decode("utf-8", "replace").strip(), keep_blank_values=True, max_num_fields=100_000)
    except ValueError:
        return None
    if not pairs:
        return None
    root = Node("object")
    slips: list[Slip] = [_slip("form_encoded", message, "the form became JSON")]
    named: dict[str, list[Node]] = {}
    for key, value_text in pairs:
        named.setdefault(key.removesuffix("[]"), []).append(_form_value(value_text))
    inputs = new_object([], root)
    for key, values in named.items():
        value = values[0] if len(values) == 1 and not (key in TOP_LEVEL_KEYS and values[0].kind != "array") else None
        if value is None or (key in TOP_LEVEL_KEYS and value.kind not in ("array", "object")):
            value = new_array(values, root)
        if key == "signature_name" or key in TOP_LEVEL_KEYS:
            root.members.append((key, value))
        else:
            inputs.members.append((key, value))
    if inputs.members:
        root.members.append(("inputs", inputs))
    return Opened(Reading(root, (), len(body), True), tuple(slips))


def _form_value(text: str) -> Node:
    found = read_body(text.encode(), 0)
    if found.root is not None and not found.slips:
        return found.root
    return Node("string", text=text)


def _escaped(body: bytes) -> Opened | None:
    """Quotation marks with backslashes, as they come through a shell or out of a second ``dumps``."""
    if not _ESCAPED_QUOTES.match(body):
        return None
    text = body.replace(b'\\"', b'"').replace(b"\\\\", b"\\")
    message = (
        'backslashes stand before the quotation marks; outside of a string JSON has none, so send " without them (a '
        "shell needs single quotation marks around the whole body, or a file)"
    )
    return Opened(read_body(text, 0), (_slip("escaped_quotes", message, "the backslashes were removed"),))


def unwrap_root(draft: Draft) -> None:
    """Takes a string or a list away that stands around the body's object."""
    for _ in range(8):
        root = draft.root
        if root.kind == "string" and not _unwrap_string(draft):
            return
        if root.kind == "array" and not _unwrap_list(draft):
            return
        if root.kind not in ("string", "array"):
            return


def _unwrap_string(draft: Draft) -> bool:
    root = draft.root
    inner = read_body(root.text.encode("utf-8", "surrogateescape"), root.start)
    if inner.root is None or inner.root.kind not in ("object", "array", "string") or not inner.is_whole:
        return False
    draft.find(
        "error",
        "double_encoded",
        root,
        "the body is a string that holds JSON, as json.dumps makes it of what is text already; the server wants the "
        "object itself, so encode once",
        change="the string became the object in it",
    )
    for slip in inner.slips:
        draft.find("error", slip.code, root, slip.message, change=slip.change, stop=slip.stop, group=slip.code)
    draft.root = inner.root
    return True


def _unwrap_list(draft: Draft) -> bool:
    root = draft.root
    if len(root.items) != 1 or root.items[0].kind != "object":
        return False
    if not any(key in TOP_LEVEL_KEYS for key in root.items[0].names()):
        return False
    draft.find(
        "error",
        "wrapped_in_list",
        root,
        "the body is a list around the object; the server wants the object itself, so leave out the outer [ ]",
        change="the list around the object was removed",
    )
    draft.root = root.items[0]
    return True
