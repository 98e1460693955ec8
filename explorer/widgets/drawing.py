"""The drawing of the chosen signature: what flows from its inputs to its outputs, a part at a time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, cast

import ipywidgets
import traitlets

from explorer.diagnosing.flow import Path, View
from explorer.errors import printable_name
from explorer.render.drawing import drawing_data, make_drawing
from explorer.render.flow_text import flow_html, flow_text
from explorer.render.html import page
from explorer.render.markup import element, name_element
from explorer.state.explorer_state import ExplorerState
from explorer.state.flowing import FlowState
from explorer.widgets.assets import read_asset
from explorer.widgets.background import background_executor
from explorer.widgets.panel import Panel, assign, set_hidden
from explorer.widgets.view import View as ScriptView

_OPEN, _CLOSE = "Draw what this signature runs", "Close the drawing"
_LONGEST_FOUND = 120
_NOTHING: Mapping[str, Any] = {"boxes": [], "links": [], "width": 0, "height": 0, "title": "", "about": ""}


class DrawingView(ScriptView):
    """Boxes and lines, in a page.

    Attributes:
        drawing: The picture, as :func:`explorer.render.drawing.drawing_data` makes it.
        chosen: The id of the box that is looked at; empty for none.
        goal: Counts up when that box shall have the focus and be in sight.
        orders: Whether control edges are drawn.
        status: How much is seen, in words.
        busy: Whether another picture is on its way.
        empty: What is said where there is no picture.
    """

    _esm = read_asset("drawing.js")
    _css = read_asset("drawing.css")

    drawing: traitlets.Dict[Any, Any] = traitlets.Dict(dict(_NOTHING)).tag(sync=True)
    chosen = traitlets.Unicode().tag(sync=True)
    goal = traitlets.Int(0).tag(sync=True)
    orders = traitlets.Bool(False).tag(sync=True)
    status = traitlets.Unicode().tag(sync=True)
    busy = traitlets.Bool(False).tag(sync=True)
    empty = traitlets.Unicode().tag(sync=True)

    def __init__(self, on_message: Callable[[dict[str, Any]], object], **traits: Any) -> None:
        """Makes a view.

        Args:
            on_message: Gets what the page says.
            **traits: Others of the attributes.
        """
        super().__init__(**traits)
        self._on_message = on_message
        self.on_msg(self._heard)

    def _heard(self, _widget: object, content: Any, _buffers: object) -> None:
        if isinstance(content, dict):
            self._on_message(content)


class DrawingPanel(Panel):
    """A picture of the chosen signature that unfolds where one clicks.

    The last line of a cell shows it: ``DrawingPanel("sample_models/half_plus_two")``, or ``DrawingPanel(x.state)`` for
    what is open in an Explorer ``x``.
    """

    place = "drawing"
    title = "Drawing"
    has_subject = True

    def __init__(
        self,
        path: str | os.PathLike[str] | ExplorerState | None = None,
        *,
        embedded: bool | Panel = False,
        executor: Executor | None = None,
    ) -> None:
        """Makes the panel; what can't be opened is said in it, not raised.

        Args:
            path: The path of a model, or what is open in an Explorer. Its chosen signature is drawn.
            embedded: As for every panel; embedded, it is closed at first.
            executor: Does slow work; None takes threads where an event loop runs, as in a notebook.
        """
        if isinstance(path, ExplorerState):
            self.explorer = path
        else:
            self.explorer = ExplorerState(path, executor=executor or background_executor())
        self._ids: dict[Path, str] = {}
        self._paths: dict[str, Path] = {}
        self._shown: tuple[View | None, bool] = (None, False)
        self._request: object = None
        self._searches = 0
        super().__init__(cast(ExplorerState, FlowState(self.explorer, is_open=not embedded)), embedded=embedded)
        self.explorer.observe(self._moved, "revision")

    @property
    def flow(self) -> FlowState:
        """The state of the drawing."""
        return cast(FlowState, self.state)

    def build(self) -> Sequence[ipywidgets.Widget]:
        """Makes its widgets."""
        self.toggle = self.button(_OPEN, self._toggle)
        self.view = DrawingView(self.heard(self._hear), layout=self._layout)
        return self.toggle, self.view

    def render(self) -> None:
        """Shows the state."""
        state, signature = self.flow, self.explorer.signature
        set_hidden(self, self.embedded and signature is None)
        named = () if signature is None else ("of ", name_element(signature.key, "strong", class_="smx-name"))
        assign(self.subject, value=str(element("p", *named)))
        assign(self.toggle, description=_CLOSE if state.is_open else _OPEN)
        set_hidden(self.toggle, not self.embedded)
        set_hidden(self.view, not state.is_open)
        if self._shown != (state.view, state.orders):
            self._shown = (state.view, state.orders)
            self._draw(state.view, state.orders)
        empty = "Reading the graph …" if state.is_reading else self._why_empty()
        assign(
            self.view, chosen=self._id(state.chosen) if state.chosen else "", orders=state.orders,
            busy=state.is_reading, empty=empty if state.view is None else "", status=self._status(),
        )  # fmt: skip
        assign(self.view, goal=state.goal)  # last: it is about what is chosen
        if self._searches != state.searches:
            self._searches = state.searches
            self._tell_found()

    def fallback(self) -> tuple[str, str]:
        """The picture and the same as a list, as HTML and text."""
        state = self.flow
        if state.flow is None:
            return page(element("p", self._why_empty())), self._why_empty()
        return flow_html(state.flow, state.unfolded), flow_text(state.flow, state.unfolded)

    def close(self) -> None:
        """Lets go of both states."""
        if not self._closed:
            self.explorer.unobserve(self._moved, "revision")
        super().close()

    def _moved(self, _change: object) -> None:
        """Follows what is chosen in the Explorer."""
        self.flow.follow()

    def _toggle(self) -> None:
        self.ask(self.flow.close if self.flow.is_open else self.flow.open)

    def _draw(self, view: View | None, orders: bool) -> None:
        if view is None:
            assign(self.view, drawing=dict(_NOTHING))
            return
        self._ids = {box.path: self._id(box.path) for box in view.boxes}
        self._paths = {name: path for path, name in self._ids.items()}
        title = f"What signature {printable_name(self.flow.flow.signature.key)} runs"
        assign(self.view, drawing=drawing_data(make_drawing(view, title=title, orders=orders), self._ids))

    def _status(self) -> str:
        view = self.flow.view
        if view is None:
            return ""
        left_out = f", {view.left_out} left out" if view.left_out else ""
        return f"{len(view.boxes)} box{'' if len(view.boxes) == 1 else 'es'}{left_out}"

    def _why_empty(self) -> str:
        if self.explorer.error and not self.embedded:  # else the Explorer says it
            return str(self.explorer.error)
        if self.explorer.model is None:
            return "No SavedModel is open."
        if self.explorer.signature is None:
            return "No signature is chosen."
        return self.flow.error or "Nothing is drawn."

    def _id(self, path: Path) -> str:
        """What a box is called in messages: never a name of a model, and the same as long as the box is there."""
        data = "\0".join(path).encode("utf-8", "surrogatepass")
        return hashlib.blake2b(data, digest_size=8).hexdigest()

    def _hear(self, content: dict[str, Any]) -> None:
        """Does what a person does on the page."""
        state, kind = self.flow, content.get("kind")
        path = self._paths.get(str(content.get("id")))
        if kind == "search":
            self._request = content.get("request")
            self.ask(state.search, str(content.get("text", "")))
        elif kind == "go":
            index = content.get("index")
            if content.get("request") == self._request and isinstance(index, int) and 0 <= index < len(state.found):
                self.ask(state.go_to, state.found[index].path)
        elif kind == "fold_all":
            self.ask(state.fold_all)
        elif kind == "orders":
            self.ask(state.show_orders, content.get("on") is True)
        elif path is not None and kind in ("unfold", "fold"):
            self.ask(state.unfold if kind == "unfold" else state.fold, path)
        elif path is not None and kind == "choose":
            self.ask(state.choose, path, comes_into_sight=False)  # it is there that the focus is

    def _tell_found(self) -> None:
        """Sends the page what a search found."""
        found = self.flow.found
        items = [
            {
                "id": self._id(one.path),
                "name": printable_name(one.name, _LONGEST_FOUND),
                "about": printable_name(" in ".join(filter(None, (one.op, one.function))), _LONGEST_FOUND),
            }
            for one in found
        ]
        status = f"{len(found)} found" if found else "nothing found"
        self.view.send({"kind": "results", "request": self._request, "items": items, "status": status})
