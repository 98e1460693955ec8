"""A tolerant reader: a body as somebody meant it, and every slip that keeps the server from reading it.

It takes what Python, JavaScript and a terminal print: trailing commas, other quotation marks, ``True``, ``None``,
``nan``, comments, tuples, arrays as numpy shows them, brackets that are missing. JSON that the server reads gives the
same values and no slip. Nothing here recurs.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from explorer.errors import printable_name
from explorer.serving.lint.strings import opening_quote, read_string
from explorer.serving.lint.structure import Frame, Slip, Structure
from explorer.serving.lint.tree import Node
from explorer.serving.lint.words import NUMBER, TOKEN, read_word

MOST_VALUES: Final = 500_000
"""A body with more values than this is not looked at value by value."""

_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_COMMENT: Final = re.compile(rb"//[^\n]*|/\*.*?\*/|#[^\n]*", re.DOTALL)
_CLOSERS: Final = {0x7B: "}", 0x5B: "]", 0x28: ")"}
_UNCLOSED_KEY: Final = re.compile(rb"[\"']([A-Za-z_][\w.]*)[ \t]*(?=:)")
"""A key that runs on, because its second quotation mark is missing."""

_PREFIXES: Final = frozenset({"b", "u", "r", "f", "br", "rb"})
_DELIMITERS: Final = frozenset(b" \t\r\n,]}:")


class Reading(NamedTuple):
    """What was read.

    Attributes:
        root: The value; None where there is none.
        slips: What JSON doesn't allow, in the order of the body.
        end: The byte behind the value; what follows, the server passes over.
        is_whole: Whether all of it was read; not so above ``MOST_VALUES``.
    """

    root: Node | None
    slips: tuple[Slip, ...]
    end: int
    is_whole: bool


def read_body(body: bytes, anchor: int | None = None) -> Reading:
    """Reads a body as it was meant.

    Args:
        body: The body.
        anchor: What all values get for their place, where the bytes are not those of the body itself.
    """
    return _Reader(body, anchor).read()


class _Reader(Structure):
    def read(self) -> Reading:
        body = self.body
        while self.root is None or self.stack:
            if not self._skip_space() or self.count > MOST_VALUES:
                break
            letter = body[self.at]
            if letter in b"]})":
                self.close(chr(letter))
            elif letter in b",;":
                self.comma(letter)
            elif letter in b":=":
                self.tell("stray", self.at, f"a {chr(letter)} stands where a value was expected; remove it", "removed")
                self.at += 1
            else:
                self._value_or_key(letter)
        whole = self.count <= MOST_VALUES
        if whole and self.stack:
            self.close_rest()
        return Reading(self.root, tuple(self.slips), self.at, whole)

    def _skip_space(self) -> bool:
        """Goes to the next character that counts; False at the end of the body."""
        body = self.body
        while True:
            found = _SPACE.match(body, self.at)
            self.at = found.end() if found else self.at
            if self.at >= len(body):
                return False
            comment = _COMMENT.match(body, self.at) if body[self.at] in b"/#" else None
            if comment is not None:
                self.tell("comment", self.at, "JSON has no comments; remove it", "a comment was removed")
                self.at = comment.end()
            elif body[self.at] < 0x20 or body[self.at : self.at + 2] == b"\xc2\xa0":
                self.tell("stray", self.at, "a character that is no blank stands between values; remove it", "removed")
                self.at += 1 if body[self.at] < 0x20 else 2
            else:
                return True

    def _value_or_key(self, letter: int) -> None:
        frame = self.stack[-1] if self.stack else None
        if frame is not None and frame.count and frame.comma < 0 and frame.key is None:
            self.tell("missing_comma", self.at, "there is no comma between two values; write one", "a comma was added")
            frame.commas += 1
        if frame is not None and frame.node.kind == "object" and frame.key is None:
            self._key(frame)
        else:
            self._value(letter)

    def _key(self, frame: Frame) -> None:
        body, at = self.body, self.at
        text = self._text_or_word()
        if text is None:
            if body[at] in b"{[(" and not frame.count:
                self.make_set(frame)
                return
            self.tell(
                "stray",
                at,
                "this is neither a key nor a value; remove it",
                "",
                "something stands there that is no JSON",
            )
            self.at += 1
            return
        ended = not self._skip_space()
        letter = 0 if ended else body[self.at]
        if letter not in b":=" and not frame.count and letter in b",})":
            self.make_set(frame)
            self.at = at
            return
        unclosed = _UNCLOSED_KEY.match(body, at) if letter != 0x3A else None
        if unclosed is not None:
            text = unclosed[1].decode()
            self.at, letter, ended = unclosed.end(), 0x3A, False
            self.slips = [
                slip for slip in self.slips if (slip.code, slip.start) != ("missing_quote", self.anchored(at))
            ]
            message = "a key has no closing quotation mark; close it before the colon"
            self.tell("missing_quote", at, message, "the key was closed before the colon")
        if frame.comma >= 0:
            frame.comma = -1
        frame.key, frame.key_start = text, at
        if ended:
            return
        if letter == 0x3A:
            self.at += 1
        elif letter == 0x3D:
            self.at += 2 if body[self.at + 1 : self.at + 2] == b">" else 1
            self.tell("missing_colon", self.at - 1, "a key is followed by = and not by a colon", "= became a colon")
        elif letter not in b",]})":
            self.tell("missing_colon", self.at, "there is no colon behind a key; write one", "a colon was added")

    def _text_or_word(self) -> str | None:
        """A key, with or without quotation marks."""
        body, at = self.body, self.at
        if opening_quote(body, at):
            return self._string(False)
        found = TOKEN.match(body, at)
        if found is None:
            return None
        word = found[0].decode("utf-8", "surrogateescape")
        if word.lower() in _PREFIXES and found.end() < len(body) and opening_quote(body, found.end()):
            self.tell("spelling", at, f"the {word} before a string is Python's; JSON has none", f"{word} was removed")
            self.at = found.end()
            return self._string("b" in word.lower())
        self.tell("unquoted_key", at, "a key has no quotation marks; JSON wants them", "quotation marks were added")
        self.at = found.end()
        return word

    def _string(self, of_bytes: bool) -> str:
        found = read_string(self.body, self.at, self.tell, of_bytes=of_bytes)
        self.at = found.end
        return found.value.decode("utf-8", "surrogateescape")

    def _value(self, letter: int) -> None:
        body, at = self.body, self.at
        if letter in _CLOSERS:
            node = Node("object" if letter == 0x7B else "array", self.start())
            self.at += 1
            self.add(node)
            self.stack.append(Frame(node, _CLOSERS[letter]))
            return
        if letter == 0x22 or opening_quote(body, at):
            start = self.start()
            text = self._string(False)
            self.add(Node("string", start, text=text))
            return
        found = NUMBER.match(body, at)
        if found is not None and (found.end() == len(body) or body[found.end()] in _DELIMITERS) and len(found[0]) < 300:
            raw = found[0].decode()
            if not found[2]:
                self.at = found.end()
                self.add(Node("real" if found[1] else "integer", self.anchored(at), raw=raw))
                return
        self._word()

    def _word(self) -> None:
        """A number in an unusual spelling, a bare word, or a call such as ``array([1.0])``."""
        body, at = self.body, self.at
        found = TOKEN.match(body, at)
        if found is None:
            self.at += 1
            stop = "something stands there that is no JSON"
            self.tell("stray", at, "this is no JSON value; remove it", "", stop)
            return
        token = found[0].decode("utf-8", "surrogateescape")
        self.at = found.end()
        follows = body[self.at : self.at + 1]
        start = self.anchored(at)
        if token.lower() in _PREFIXES and follows and opening_quote(body, self.at):
            self.tell("spelling", at, f"the {token} before a string is Python's; JSON has none", f"{token} was removed")
            self.add(Node("string", start, text=self._string("b" in token.lower())))
            return
        if follows == b"(" and token[:1].isalpha():
            node = Node("array", start)
            self.tell(
                "spelling",
                at,
                f"{_cut(token)}(…) is how a program prints a value; send the bare value",
                "it was unwrapped",
            )
            self.add(node)
            self.stack.append(Frame(node, ")", call=True))
            self.at += 1
            return
        frame = self.stack[-1] if self.stack else None
        if frame is not None and frame.call and follows == b"=" and frame.count:
            self._skip_argument(frame)
            return
        word = read_word(token)
        if word.kind is None and not word.code:
            if frame is None:
                stop = "" if self._skip_to_bracket() else "this is no JSON"
                message = f"the body begins with {_cut(token)}, which is no JSON; an object was expected"
                self.tell("not_json", at, message, "what stood before the first bracket was left out", stop)
                return
            node = Node("string", start, text=token)
            message = f"the text {_cut(token)} has no quotation marks; JSON wants them"
            self.tell("unquoted_string", at, message, "quotation marks were added", node=self.add(node))
            return
        if word.kind is None:
            self.tell(word.code, at, word.message, "", word.stop)
            if frame is not None:
                frame.key, frame.comma = None, -1
            return
        node = self.add(Node(word.kind, start, raw=word.raw))
        if word.code:
            self.tell(
                word.code, at, word.message, "" if word.stop else f"{_cut(token)} became {word.raw}", word.stop, node
            )

    def _skip_to_bracket(self) -> bool:
        """Passes over what stands before the first bracket, as ``data = `` does."""
        places = [place for place in (self.body.find(mark, self.at) for mark in (b"{", b"[")) if place >= 0]
        self.at = min(places, default=len(self.body))
        return bool(places)

    def _skip_argument(self, frame: Frame) -> None:
        """Passes over ``dtype=float32`` and the like."""
        end = re.compile(rb"[^,)]*").match(self.body, self.at)
        self.at = end.end() if end else self.at + 1
        frame.comma = -1


def _cut(token: str) -> str:
    return printable_name(token, 40)
