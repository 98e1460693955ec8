"""Texts and bytes: what of base64 goes wrong, and what the graph behind the input makes of it."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from explorer.serving.lint.draft import Draft
from explorer.serving.lint.readers import TextReaders
from explorer.serving.lint.tree import Node, is_base64, new_string, shown

_MAGIC: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"RIFF", b"%PDF-", b"PK\x03\x04", b"\x1f\x8b\x08", b"OggS")
"""How files begin that nobody writes as text."""

_DATA_URL: Final = re.compile(r"\s*data:[^,;]*(?:;[^,;]*)*;base64,", re.IGNORECASE)
_BYTES_LITERAL: Final = re.compile(r"\s*b(['\"])([A-Za-z0-9+/_=\-]*)\1\s*")
_ALPHABET: Final = re.compile(r"[A-Za-z0-9+/_\-\s]+[=.]*\s*")
_WEB_SAFE: Final = str.maketrans("+/", "-_")
_STANDARD: Final = str.maketrans("-_", "+/")
_SHORTEST_GUESS: Final = 16  # a shorter text in base64's alphabet is more likely a word
_NAMES: Final = frozenset({"b64", "base64", "b64data", "b64_bytes", "image_b64", "bytes", "_b64", "data"})


def decode_base64(text: str) -> bytes | None:
    """Decodes base64 as the server does (``absl::Base64Unescape``), None where it refuses.

    The alphabet is the standard one; white space is passed over, padding may be missing or be points, and if there is
    some, it must be complete.
    """
    squeezed = "".join(text.split())
    body = squeezed.rstrip("=.")
    padding = len(squeezed) - len(body)
    if not body.isascii() or len(body) % 4 == 1 or (padding and (len(body) + padding) % 4) or padding > 2:
        return None
    if "-" in body or "_" in body:
        return None
    try:
        return base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
    except binascii.Error:
        return None


def check_text(draft: Draft, key: str, node: Node, readers: TextReaders) -> None:
    """Looks at one element of an input of texts, and corrects it.

    Args:
        draft: The body.
        key: The input key.
        node: The element; no list.
        readers: What the graph does with it.
    """
    if node.kind == "string":
        _check_plain(draft, key, node, readers)
    elif is_base64(node):
        _check_base64(draft, key, node, readers)
    elif node.kind == "object":
        _check_object(draft, key, node, readers)
    elif node.kind == "null":
        draft.find(
            "error",
            "null",
            node,
            f"null stands where '{key}' wants a string; the server never takes null, so send a text, such as an empty "
            "one, or leave the row out",
            stop="null may mean an empty text or a missing row",
            group=key,
        )
    else:
        text = node.raw
        draft.find(
            "error",
            "number_for_string",
            node,
            f"{text} is {'no string' if node.kind == 'bool' else 'a number'}, and '{key}' takes strings; the server "
            f'turns nothing into text, so write "{text}"',
            change=f'{text} became "{text}"',
            group=key,
        )
        node.set("string", text=text)


def looks_like_base64(text: str) -> bytes | None:
    """The bytes of a text that is base64 in one of its alphabets and too long to be a word; else None."""
    if len(text) < _SHORTEST_GUESS or not _ALPHABET.fullmatch(text):
        return None
    if ("-" in text or "_" in text) and ("+" in text or "/" in text):
        return None
    return decode_base64(text.translate(_STANDARD))


def _wrap(node: Node, text: str) -> None:
    """Makes it the object by which the server knows base64."""
    inner = new_string(text, node)
    node.set("object")
    node.members = [("b64", inner)]


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _check_plain(draft: Draft, key: str, node: Node, readers: TextReaders) -> None:
    text = node.text
    url = _DATA_URL.match(text)
    if url is not None:
        data = decode_base64(text[url.end() :].translate(_STANDARD))
        draft.find(
            "error" if readers.image else "warning",
            "data_url",
            node,
            f"'{key}' holds a data: URL; the server hands a plain string on as it is, so send the base64 behind the "
            'comma as {"b64": "…"}',
            change="the data: URL became its base64 in {\"b64\": …}",
            stop="" if data is not None else "the base64 of the data: URL is damaged",
            group=key,
        )  # fmt: skip
        if data is not None:
            _set_bytes(node, data, readers)
    elif readers.base64:
        _check_web_safe(draft, key, node)
    elif readers.image:
        _check_plain_image(draft, key, node, readers)
    elif (literal := _BYTES_LITERAL.fullmatch(text)) is not None and looks_like_base64(literal[2]) is not None:
        _bytes_literal(draft, key, node, literal[2])
    elif (data := looks_like_base64(text)) is not None and data.startswith(_MAGIC):
        draft.find(
            "warning",
            "plain_base64",
            node,
            f"'{key}' holds base64 of a file as a plain string; the server never decodes plain strings, so that the "
            'model gets the base64 itself: send {"b64": "…"}',
            change="the base64 was put into {\"b64\": …}",
            group=key,
        )  # fmt: skip
        _wrap(node, _encoded(data))
    elif not _is_utf8(text):
        draft.find(
            "note",
            "not_utf8",
            node,
            f"'{key}' holds bytes that are no UTF-8; the server passes them on, but few clients can send or show such "
            'a body: send {"b64": "…"}',
            change="the bytes became {\"b64\": …}",
            group=key,
        )  # fmt: skip
        _wrap(node, _encoded(text.encode("utf-8", "surrogateescape")))


def _check_plain_image(draft: Draft, key: str, node: Node, readers: TextReaders) -> None:
    text = node.text
    raw = text.encode("utf-8", "surrogateescape")
    if raw.startswith(_MAGIC) or raw.startswith(b"BM"):
        return
    literal = _BYTES_LITERAL.fullmatch(text)
    data = looks_like_base64(literal[2] if literal else text)
    if data is None:
        draft.find(
            "error",
            "not_image_bytes",
            node,
            f"'{key}' holds the text {shown(node)}, and {readers.image} in the graph wants the bytes of an image file; "
            'neither reads a file or a URL: send the file in base64 as {"b64": "…"}',
            stop="the bytes of the image are needed",
            group=key,
        )
        return
    draft.find(
        "error",
        "plain_base64",
        node,
        f"'{key}' holds base64 as a plain string; the server never decodes plain strings, whatever the input is "
        "called, "
        f'so that {readers.image} in the graph gets the base64 itself: send {{"b64": "…"}}',
        change="the base64 was put into {\"b64\": …}",
        group=key,
    )  # fmt: skip
    _wrap(node, _encoded(data))
    _check_base64(draft, key, node, readers)  # it may hold base64 again


def _check_web_safe(draft: Draft, key: str, node: Node) -> None:
    """A plain string for an input that the graph decodes with ``DecodeBase64``."""
    text = node.text
    literal = _BYTES_LITERAL.fullmatch(text)
    if literal is not None:
        _bytes_literal(draft, key, node, "")
        node.set("string", text=literal[2].translate(_WEB_SAFE))
        return
    if "+" in text or "/" in text:
        data = decode_base64("".join(text.split()))
        draft.find(
            "error",
            "alphabet",
            node,
            f"the graph decodes '{key}' with DecodeBase64, which takes the web-safe alphabet (- and _), and this is "
            "the standard one (+ and /): send it once encoded, as a plain string, by urlsafe_b64encode",
            change="+ and / became - and _",
            stop="" if data is not None else "the text is no base64 in any alphabet",
            group=key,
        )
        if data is not None:
            node.set("string", text="".join(text.split()).translate(_WEB_SAFE))
    elif decode_base64(text.translate(_STANDARD)) is None or any(letter.isspace() for letter in text):
        squeezed = "".join(text.split())
        fits = decode_base64(squeezed.translate(_STANDARD)) is not None
        draft.find(
            "error",
            "base64",
            node,
            f"the graph decodes '{key}' with DecodeBase64, and {shown(node)} is no base64 that it takes: send web-safe "
            "base64 without white space as a plain string",
            change="white space was removed" if fits else "",
            stop="" if fits else "the text is no base64",
            group=key,
        )
        if fits:
            node.set("string", text=squeezed)


def _bytes_literal(draft: Draft, key: str, node: Node, payload: str) -> None:
    draft.find(
        "error",
        "bytes_literal",
        node,
        f"'{key}' holds b'…', which is how Python prints bytes, not the base64 in it; make text of it with .decode() "
        "before it goes into the body",
        change="b'…' became what it holds",
        group=key,
    )
    if payload:
        _wrap(node, payload.translate(_STANDARD))


def _set_bytes(node: Node, data: bytes, readers: TextReaders) -> None:
    """Makes it what the model's ops get these bytes from."""
    if readers.base64:
        node.set("string", text=_encoded(data).translate(_WEB_SAFE))
    else:
        _wrap(node, _encoded(data))


def _check_base64(draft: Draft, key: str, node: Node, readers: TextReaders) -> None:
    text = node.members[0][1].text
    data = decode_base64(text)
    if data is None:
        _check_undecodable(draft, key, node, readers, text)
        return
    inner = data.decode("ascii", "replace") if len(data) < 100_000_000 else ""
    url = _DATA_URL.match(inner)
    literal = _BYTES_LITERAL.fullmatch(inner)
    if readers.base64:
        _check_decoded_twice(draft, key, node, data, inner)
    elif url is not None or literal is not None or _is_encoded_twice(inner, readers):
        payload = inner[url.end() :] if url else literal[2] if literal else inner
        decoded = decode_base64(payload.translate(_STANDARD))
        if decoded is None:
            return
        draft.find(
            "error" if readers.image else "warning",
            "double_base64",
            node,
            f"'{key}' is base64 of base64: the server decodes it once, and "
            + (f"{readers.image} in the graph" if readers.image else "the model")
            + " gets the inner base64; encode once",
            change="one layer of base64 was removed",
            group=key,
        )
        _wrap(node, _encoded(decoded))


def _is_encoded_twice(inner: str, readers: TextReaders) -> bool:
    data = looks_like_base64(inner)
    return data is not None and (data.startswith(_MAGIC) or bool(readers.image))


def _check_decoded_twice(draft: Draft, key: str, node: Node, data: bytes, inner: str) -> None:
    """``{"b64": …}`` for an input that the graph decodes once more."""
    if data and _ALPHABET.fullmatch(inner) and not any(letter in inner for letter in "+/. \n"):
        return  # base64 of web-safe base64: right, if roundabout
    standard = decode_base64(inner) if _ALPHABET.fullmatch(inner) else None
    if standard is not None and len(inner) >= _SHORTEST_GUESS:
        code, bytes_meant = "alphabet", standard
        message = "it is base64 of base64 in the standard alphabet, and DecodeBase64 takes the web-safe one"
    else:
        code, bytes_meant = "decoded_twice", data
        message = 'the server decodes {"b64": …}, and DecodeBase64 in the graph would decode the result once more'
    draft.find(
        "error",
        code,
        node,
        f"'{key}': {message}; send web-safe base64 as a plain string, which the server passes on",
        change="it became a plain string of web-safe base64",
        group=key,
    )
    node.set("string", text=_encoded(bytes_meant).translate(_WEB_SAFE))


def _check_undecodable(draft: Draft, key: str, node: Node, readers: TextReaders, text: str) -> None:
    url = _DATA_URL.match(text)
    literal = _BYTES_LITERAL.fullmatch(text)
    payload = text[url.end() :] if url else literal[2] if literal else text.replace("%2B", "+").replace("%2F", "/")
    payload = payload.replace("%3D", "=").rstrip("=.").translate(_STANDARD)
    data = decode_base64(payload)
    if url:
        code, why, change = "data_url", "a data: URL begins with words that are no base64", "the words before the comma"
    elif literal:
        code, why, change = "bytes_literal", "b'…' is how Python prints bytes; use .decode()", "b'…'"
    elif "-" in text or "_" in text:
        code, change = "web_safe_base64", ""
        why = (
            "the server takes the standard alphabet (+ and /), not the web-safe one (- and _): use b64encode, not "
            "urlsafe_b64encode"
        )
    else:
        code, why, change = "base64", "wrong characters, a wrong length or wrong padding", ""
    draft.find(
        "error",
        code,
        node,
        f"the server can't decode the base64 of '{key}': {why}",
        change=f"{change} was removed" if change else "it became standard base64",
        stop="" if data is not None else f"the base64 of '{key}' is damaged",
        group=key,
    )
    if data is not None:
        _set_bytes(node, data, readers)


def _check_object(draft: Draft, key: str, node: Node, readers: TextReaders) -> None:
    named = [(name, value) for name, value in node.members if name.lower() in _NAMES and value.kind == "string"]
    exact = [value for name, value in named if name == "b64"]
    value = exact[0] if exact else named[0][1] if len(named) == 1 else None
    others = [name for name in node.names() if name != "b64"]
    if exact and others:
        message = (
            f"'b64' stands beside {_listed(others)}, and the server takes an object for bytes only if b64 is alone"
        )
        code, change = "b64_beside_key", f"{_listed(others)} was removed"
    elif exact:
        message, code, change = "'b64' stands there twice", "duplicate_key", "the first was kept"
    elif value is not None:
        message = f"bytes must stand under the key b64, not {_listed(others)}"
        code, change = "wrong_b64_key", f"{_listed(others)} became 'b64'"
    else:
        message = f"an object stands there ({shown(node)}), and '{key}' takes strings"
        code, change = "object_for_string", ""
    draft.find(
        "error",
        code,
        node,
        f'{message}; send {{"b64": "…"}} with nothing else in it, or a plain string',
        change=change,
        stop="" if value is not None else f"it can't be told which text of the object '{key}' should get",
        group=key,
    )
    if value is not None:
        _wrap(node, value.text)
        _check_base64(draft, key, node, readers)


def _listed(names: list[str]) -> str:
    from explorer.errors import listed

    return listed(names, 5)


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
