"""Code to read, to copy and to save, one text at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import traitlets

from explorer.errors import ExplorerError, printable_name
from explorer.widgets.assets import read_asset
from explorer.widgets.view import View

_LONGEST_NOTE = 2000


@dataclass(frozen=True, slots=True)
class Code:
    """A text with a name.

    Attributes:
        label: The name, on its tab and in its copy button.
        text: What is seen; empty where there is none.
        note: A sentence below it.
        problem: Why there is none, in a sentence.
        is_cut: Whether ``text`` isn't what is copied.
        whole: Gives what is saved, text or bytes, where that isn't ``text``.
        copied: Gives what is copied, where that isn't the whole.
        file: The name of the file that it is saved as; empty where it can't be saved.
    """

    label: str
    text: str = ""
    note: str = ""
    problem: str = ""
    is_cut: bool = False
    whole: Callable[[], str | bytes] | None = field(default=None, compare=False)
    copied: Callable[[], str] | None = field(default=None, compare=False)
    file: str = ""


class CodeView(View):
    """Shows codes behind tabs, with buttons that copy and save the one in sight.

    What is long is not sent before somebody copies or saves it: the page then asks for it.

    Attributes:
        label: The accessible name of the tabs.
        chosen: The tab in sight, by its place.
        follows: Whether the kernel says which tab is in sight; else the page alone does.
    """

    _esm = read_asset("code_view.js")

    label = traitlets.Unicode().tag(sync=True)
    codes: traitlets.List[Any] = traitlets.List().tag(sync=True)
    chosen = traitlets.Int(0).tag(sync=True)
    follows = traitlets.Bool(False).tag(sync=True)

    def __init__(self, *, on_choose: Callable[[int], object] | None = None, **traits: Any) -> None:
        """Makes a view without codes.

        Args:
            on_choose: Is told which tab was chosen, and shows it; None leaves that to the page.
            **traits: Attributes of the view.
        """
        super().__init__(follows=on_choose is not None, **traits)
        self._on_choose = on_choose
        self._shown: tuple[Code, ...] = ()
        self.on_msg(self._heard)

    def show(self, *codes: Code, chosen: int | None = None) -> None:
        """Shows these codes; the same ones again change nothing.

        Args:
            *codes: The codes; of those that aren't in sight, the texts may be empty where ``on_choose`` is given.
            chosen: The tab in sight; None leaves it.
        """
        self._shown = codes
        shown = [
            {
                "label": code.label,
                "text": code.text,
                "note": printable_name(code.problem or code.note, _LONGEST_NOTE),
                "bad": bool(code.problem),
                "cut": code.is_cut,
                "made": code.whole is not None,
                "file": printable_name(code.file),
            }
            for code in codes
        ]
        if chosen is not None and chosen != self.chosen:
            self.chosen = chosen
        if shown != self.codes:
            self.codes = shown

    def whole(self, place: int, *, to_copy: bool = False) -> bytes:
        """The whole of a code, as it is saved or copied.

        Raises:
            ExplorerError: It can't be written after all.
        """
        code = self._shown[place]
        made = code.copied() if to_copy and code.copied else code.whole() if code.whole else code.text
        return made if isinstance(made, bytes) else made.encode("utf-8", "surrogatepass")

    def _heard(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        kind, place = content.get("kind"), content.get("place")
        if not isinstance(place, int) or not 0 <= place < len(self._shown):
            return
        if kind == "choose" and self._on_choose is not None:
            self._on_choose(place)
        elif kind in ("copy", "save"):
            answer = {"kind": "whole", "request": content.get("request"), "problem": ""}
            try:
                self.send(answer, [self.whole(place, to_copy=kind == "copy")])
            except ExplorerError as error:
                self.send({**answer, "problem": printable_name(str(error), _LONGEST_NOTE)})
