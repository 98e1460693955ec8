"""A place to drop or choose a file, which goes to the kernel as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import traitlets

from explorer.widgets.assets import read_asset
from explorer.widgets.view import View

_MOST_PARTS = 1000


class FileDrop(View):
    """A button that chooses a file, and takes one that is dropped on it; a picture of it stands beside.

    A file comes in parts: what sends the messages of a notebook takes no large ones.

    Attributes:
        label: What the button says.
        name: Its accessible name.
        most_bytes: A larger file isn't sent.
        picture: A picture of what was given, as a ``data:`` URI; empty for none.
        alt: What the picture shows, in words.
    """

    _esm = read_asset("file_drop.js")

    label = traitlets.Unicode("File …").tag(sync=True)
    name = traitlets.Unicode().tag(sync=True)
    most_bytes = traitlets.Int(256 << 20).tag(sync=True)
    picture = traitlets.Unicode().tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)

    def __init__(self, on_file: Callable[[str, bytes], object], **traits: Any) -> None:
        """Makes a place for files.

        Args:
            on_file: Called with the name and the bytes of each file.
            **traits: Attributes of the view.
        """
        super().__init__(**traits)
        self._on_file = on_file
        self._parts: dict[tuple[str, str], dict[int, bytes]] = {}
        self.on_msg(self._heard)

    def _heard(self, _widget: object, content: dict[str, Any], buffers: Sequence[Any]) -> None:
        if content.get("kind") != "part" or not buffers:
            return
        place, count = content.get("place"), content.get("count")
        if not isinstance(place, int) or not isinstance(count, int) or not 0 <= place < count <= _MOST_PARTS:
            return
        name, upload = str(content.get("name", "")), str(content.get("upload", ""))
        self._parts = {key: parts for key, parts in self._parts.items() if key == (upload, name)}  # a new one begins
        parts = self._parts.setdefault((upload, name), {})
        parts[place] = bytes(buffers[0])
        if sum(map(len, parts.values())) > self.most_bytes:
            self._parts = {}
        elif len(parts) == count:
            self._parts = {}
            self._on_file(name, b"".join(parts[number] for number in range(count)))
