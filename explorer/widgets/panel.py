"""What all panels have in common: they show a state, ask it for changes, and leave nothing behind when closed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, TypeVar

import ipywidgets
from ipywidgets.widgets.widget_bool import CheckboxStyle
from ipywidgets.widgets.widget_description import DescriptionStyle
from ipywidgets.widgets.widget_string import HTMLStyle

from explorer.render.markup import Child, Markup, element, join
from explorer.state import ExplorerState
from explorer.widgets.button import Button
from explorer.widgets.sheet import Sheet
from explorer.widgets.terms import TERMS
from explorer.widgets.view import View

_Widget = TypeVar("_Widget", bound=ipywidgets.Widget)
_HIDDEN = "smx-hidden"


class Panel(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """A view of a state.

    A panel of its own kind says in ``build`` what it consists of, once, and in ``render`` what the state makes of it,
    as often as the state changes. What a person does on it becomes an intent by way of ``ask``.

    Attributes:
        state: What it shows.
        place: Its name among panels, by which it knows the errors of its own intents.
        title: Its heading; empty for none.
        terms: The words that are explained beside the heading.
        has_subject: Whether something stands beside the heading; the panel puts it into ``subject``.
        shows_errors: Whether errors of its own intents, and where it stands alone those from Python, are shown in it.
    """

    place: ClassVar[str] = ""
    title: ClassVar[str] = ""
    terms: ClassVar[tuple[str, ...]] = ()
    has_subject: ClassVar[bool] = False
    shows_errors: ClassVar[bool] = True

    subject: ipywidgets.HTML

    def __init__(self, state: ExplorerState, *, embedded: bool | Panel = False) -> None:
        """Makes a panel.

        Args:
            state: What it shows.
            embedded: Whether it stands in another panel, which brings the style sheet and shows the errors of
                intents that come from Python; or that panel, to share its styles.
        """
        self._closed = True  # until there is something to close
        self._rendering = False
        self.state = state
        self.embedded = bool(embedded)
        self._share(embedded if isinstance(embedded, Panel) else None)
        self._closed = False
        super().__init__(**({"layout": self._layout} if self._borrowed else {}))
        self.add_class("smx-panel")
        self.add_class(f"smx-{self.place}")
        self._message = self.html()
        heading = []
        if self.title:
            parts = [self.html(element("h3", self.title))]
            if self.has_subject:
                self.subject = self.html()
                parts.append(self.subject)
            if self.terms:
                parts.append(self.html(_explained(self.terms)))
            heading = parts if len(parts) == 1 else [self.row(*parts, kind="heading")]
        sheet = []
        if not embedded:
            self.add_class("smx-root")
            sheet = [Sheet(layout=self._layout)]
        self.children = (*sheet, *heading, *self.build(), self._message)
        state.observe(self._changed, "revision")
        self.show()

    # ------------------------------------------------------------ for the panels

    def build(self) -> Sequence[ipywidgets.Widget]:
        """Makes the widgets that it consists of; called once."""
        raise NotImplementedError

    def render(self) -> None:
        """Puts what the state says into the widgets."""
        raise NotImplementedError

    def fallback(self) -> tuple[str, str]:
        """What is seen where widgets can't be: HTML and text."""
        raise NotImplementedError

    def ask(self, intent: Callable[..., bool], *arguments: Any, **named: Any) -> bool:
        """Asks the state for a change, unless it is the panel itself that just shows one.

        Returns:
            Whether it went well; else the state has the reason, and the panel shows it.
        """
        if self._rendering:
            return True
        with self.state.asked_by(self.place):
            done = intent(*arguments, **named)
            self.show()  # also when nothing changed: a choice that failed has to jump back
            return done

    def heard(self, callback: Callable[..., object]) -> Callable[..., None]:
        """What to give a widget to call: it waits for another thread that is showing the state, and then calls.

        What a widget says because the panel has just set it is left out.
        """

        def call(*arguments: Any) -> None:
            with self.state.lock:
                if not self._rendering:
                    callback(*arguments)

        return call

    def button(self, text: str, on_click: Callable[[], object], *, tooltip: str = "", kind: str = "") -> Button:
        """A button; ``kind`` is ``"primary"`` for the one that a person most likely wants."""
        return Button(text, self.heard(lambda: on_click()), tooltip=tooltip, kind=kind, layout=self._layout)

    def html(self, *children: Child) -> ipywidgets.HTML:
        """A piece of a page, made by :mod:`explorer.render.markup`."""
        return ipywidgets.HTML(str(join(children)), layout=self._layout, style=self._html_style)

    def dropdown(self, label: str, on_change: Callable[[Any], object]) -> ipywidgets.Dropdown:
        """A choice without options yet; give them with :func:`set_options`."""
        made = ipywidgets.Dropdown(description=label, layout=self._layout, style=self._label_style)
        made.observe(self.heard(lambda change: on_change(change.new)), "value")
        return made

    def row(self, *children: ipywidgets.Widget, kind: str = "row") -> ipywidgets.Box:
        """Widgets side by side, on several lines where there is no room."""
        box = ipywidgets.Box(children, layout=self._layout)
        box.add_class(f"smx-{kind}")
        return box

    # ------------------------------------------------------------ how it works

    def _share(self, owner: Panel | None) -> None:
        """Makes what all widgets share that are never sized, or takes that of the panel around this one.

        Each widget would bring two models of its own.
        """
        if owner is None:
            self._layout = ipywidgets.Layout()
            self._label_style = DescriptionStyle(description_width="initial")
            self._check_style = CheckboxStyle(description_width="initial")
            self._html_style = HTMLStyle(description_width="initial")
        else:
            self._layout, self._label_style = owner._layout, owner._label_style
            self._check_style, self._html_style = owner._check_style, owner._html_style
        shared = (self._layout, self._label_style, self._check_style, self._html_style)
        self._own: tuple[ipywidgets.Widget, ...] = shared if owner is None else ()
        self._borrowed: tuple[ipywidgets.Widget, ...] = () if owner is None else shared

    def show(self) -> None:
        """Shows the state as it is now; called whenever it changes."""
        with self.state.lock:
            if self._closed or self._rendering:
                return
            self._show()

    def _show(self) -> None:
        self._rendering = True
        try:
            self.render()
            place = self.state.error_place
            mine = self.shows_errors and place in (
                (self.place,) if self.embedded and self.place != "header" else (self.place, "")
            )
            assign(self._message, value=error_markup(self.state.error if mine else ""))
            set_hidden(self._message, not (mine and self.state.error))
        finally:
            self._rendering = False

    def _changed(self, _change: object) -> None:
        self.show()

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = dict(super()._repr_mimebundle_(**kwargs) or {})
        html, text = self.fallback()
        return bundle | {"text/html": html, "text/plain": text}

    def close(self) -> None:
        """Lets go of the state and closes every widget in it; closing twice is closing once."""
        if getattr(self, "_closed", True):
            return
        self._closed = True
        self.state.unobserve(self._changed, "revision")
        close_all(self, self._borrowed)
        for own in self._own:
            ipywidgets.Widget.close(own)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.state.path!r})"


def assign(widget: ipywidgets.Widget, **values: object) -> None:
    """Sets the traits that differ, so that nothing is sent, and no event fires, for what is so already."""
    for name, value in values.items():
        if getattr(widget, name) != value:
            setattr(widget, name, value)


def set_options(choice: ipywidgets.Dropdown, options: Sequence[tuple[str, Any]], value: object) -> None:
    """Gives a choice its options where they differ, then its value; a value that isn't among them is no choice."""
    if tuple(choice.options) != tuple(options):
        choice.options = tuple(options)
    assign(choice, value=value if any(value == option for _, option in options) else None)


def set_hidden(widget: ipywidgets.DOMWidget, hidden: bool) -> None:
    """Hides a widget or shows it."""
    if isinstance(widget, View):
        assign(widget, hidden=hidden)
    elif hidden:
        widget.add_class(_HIDDEN)
    else:
        widget.remove_class(_HIDDEN)


def is_hidden(widget: ipywidgets.DOMWidget) -> bool:
    """Whether it is hidden by :func:`set_hidden`."""
    return widget.hidden if isinstance(widget, View) else _HIDDEN in widget._dom_classes


def error_markup(sentence: str) -> str:
    """A sentence about what went wrong, announced by screen readers."""
    if not sentence:
        return ""
    return str(element("p", element("strong", "▲ "), sentence, class_="smx-error", role="alert"))


def warning_markup(sentence: str) -> str:
    """A sentence about what one should know before one goes on, announced by screen readers."""
    if not sentence:
        return ""
    return str(element("p", element("strong", "▲ "), sentence, class_="smx-warning", role="status"))


def close_all(widget: ipywidgets.Widget, but: Iterable[ipywidgets.Widget] = ()) -> None:
    """Closes a widget, all that are in it, and their layouts and styles, but those of somebody else.

    ``Widget.close`` of ipywidgets closes one widget alone, and the others live on in its registry for ever:
    https://github.com/jupyter-widgets/ipywidgets/issues/1345
    """
    pending, seen = [widget], {id(widget), *map(id, but)}
    while pending:
        current = pending.pop()
        if isinstance(current, Panel) and current is not widget:
            current.close()
            continue
        for name in current.traits(sync=True):
            value = getattr(current, name, None)
            for inner in value if isinstance(value, tuple | list) else (value,):
                if isinstance(inner, ipywidgets.Widget) and id(inner) not in seen:
                    seen.add(id(inner))
                    pending.append(inner)
        ipywidgets.Widget.close(current)
        if current is not widget:
            current.unobserve_all()


def _explained(terms: Sequence[str]) -> Markup:
    explained = [
        element(
            "details",
            element("summary", "? ", term, aria_label=f"What is this: {term}?"),
            element("p", TERMS[term]),
            class_="smx-term",
        )
        for term in terms
    ]
    return element("div", explained, class_="smx-terms")


__all__ = [
    "Panel",
    "assign",
    "close_all",
    "error_markup",
    "is_hidden",
    "set_hidden",
    "set_options",
    "warning_markup",
]
