"""A field that finds a tensor among many: the kernel searches, the page gets the best few."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import traitlets

from explorer.errors import printable_name
from explorer.savedmodel.graph import GraphTensor
from explorer.savedmodel.model import DType
from explorer.state.tensors import short_names
from explorer.widgets.assets import read_asset
from explorer.widgets.view import TextView

ANY_DTYPE = ""
Found = Callable[[Sequence[GraphTensor]], None]
Search = Callable[[str, DType | None, Found], None]
"""Looks for a text among tensors of a dtype and hands over what it found, at once or later."""


class Picker(TextView):
    """A combobox over the tensors of a graph; its ``value`` is the name of one, set with :meth:`fill`.

    Attributes:
        dtypes: What can be chosen to filter by: number as text, and name.
        dtype: What is chosen of them.
    """

    _esm = read_asset("picker.js")

    placeholder = traitlets.Unicode("Type a part of its name or op").tag(sync=True)
    dtypes = traitlets.List([[ANY_DTYPE, "any dtype"]]).tag(sync=True)
    dtype = traitlets.Unicode(ANY_DTYPE).tag(sync=True)

    def __init__(
        self,
        label: str,
        search: Search,
        *,
        on_submit: Callable[[], object] | None = None,
        on_escape: Callable[[], object] | None = None,
        **traits: Any,
    ) -> None:
        """Makes a picker.

        Args:
            label: Its accessible name.
            search: Finds the tensors.
            on_submit: Called for Enter when the list of what was found is closed.
            on_escape: Called for Escape when it is closed.
            **traits: Others of the attributes.
        """
        super().__init__(label=label, **traits)
        self._search, self._on_submit, self._on_escape = search, on_submit, on_escape
        self._found: tuple[object, Sequence[GraphTensor]] = (None, ())
        self.on_msg(self._heard)

    def fill(self, tensor_name: str, *, focused: bool = False) -> None:
        """Puts the name of a tensor into the field, and the cursor if wanted."""
        self.value, self.text = tensor_name, printable_name(tensor_name)
        self.focused = focused
        self.turn += 1

    def _heard(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        kind = content.get("kind")
        if kind == "search":
            self.take(str(content.get("text", "")))
            self._look_up(content.get("request"), str(content.get("dtype", "")))
        elif kind == "choose":
            request, found = self._found
            index = content.get("index")
            if content.get("request") == request and isinstance(index, int) and 0 <= index < len(found):
                # The name goes by its place: what the page shows may be its printable form.
                self.value, self.text = found[index].name, printable_name(found[index].name)
        elif kind == "submit":
            self.take(str(content.get("text", "")))
            if self._on_submit is not None:
                self._on_submit()
        elif kind == "escape" and self._on_escape is not None:
            self._on_escape()

    def take(self, text: str) -> None:
        """Takes over what was typed: the name of a tensor, or a part of one."""
        if text != printable_name(self.value):
            self.value = text

    def _look_up(self, request: object, dtype: str) -> None:
        # A field that still holds what it was filled with offers everything, not just that.
        wanted = "" if self.value and printable_name(self.value) == self.text else self.value

        def found(tensors: Sequence[GraphTensor]) -> None:
            self._found = (request, tensors)
            items = [
                {
                    "name": printable_name(short),
                    "whole": printable_name(tensor.name),
                    "about": f"{tensor}  {printable_name(tensor.op) or 'argument'}",
                }
                for tensor, short in zip(tensors, short_names(tensors), strict=True)
            ]
            self.send({"kind": "results", "request": request, "items": items})

        self._search(wanted, DType(int(dtype)) if dtype.isdecimal() else None, found)
