"""Code to read and to copy, one text at a time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import traitlets

from explorer.errors import printable_name
from explorer.widgets.assets import read_asset
from explorer.widgets.view import View


@dataclass(frozen=True, slots=True)
class Code:
    """A text with a name.

    Attributes:
        label: The name, on its tab and in its copy button.
        text: The code; empty where there is none.
        note: A sentence below it.
    """

    label: str
    text: str
    note: str = ""


class CodeView(View):
    """Shows codes behind tabs, with a button that copies the one in sight.

    Attributes:
        label: The accessible name of the tabs.
    """

    _esm = read_asset("code_view.js")

    label = traitlets.Unicode().tag(sync=True)
    codes: traitlets.List[Any] = traitlets.List().tag(sync=True)

    def show(self, *codes: Code) -> None:
        """Shows these codes; the same ones again change nothing."""
        shown = [asdict(code) | {"note": printable_name(code.note, 2000)} for code in codes]
        if shown != self.codes:
            self.codes = shown
