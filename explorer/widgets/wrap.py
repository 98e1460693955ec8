"""One more signature, which takes what clients really have: the choices, a picture as the model sees it, the export."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any, cast

import ipywidgets

from explorer.errors import printable_name
from explorer.render.html import page
from explorer.render.markup import Child, element, join, picture
from explorer.render.tables import printable_size
from explorer.runtime.image_options import COLOURS, FITS, INTERPOLATIONS
from explorer.runtime.image_scales import SCALES
from explorer.runtime.preview_image import WARNING
from explorer.state import ExplorerState
from explorer.state.protocols import protocol_preview
from explorer.state.telling import sentence
from explorer.state.thumbnails import thumbnail
from explorer.state.wrap_choices import KINDS, OPTIONS, OWN_NUMBERS, PICTURES
from explorer.state.wrapping import WrapState
from explorer.widgets.background import background_executor
from explorer.widgets.code_view import Code, CodeView
from explorer.widgets.field import Field
from explorer.widgets.file_drop import FileDrop
from explorer.widgets.panel import Panel, assign, error_markup, set_hidden, set_options, warning_markup

_MOST_BYTES = 100_000_000
_AS_DECLARED = "as the input says"
_COMPARE = (
    "This runs the new version on the picture, in a child process with limits: once by the new signature, once by the "
    "plain one on the same pixels. Nothing runs before you press the button."
)
_CLOSED = "Add a signature that takes image files, base64 text, tf.Examples, CSV or JSON"
_DRAFT = "Here model is the draft, as the script under Code makes it."
_OF_PICTURES: dict[str, tuple[str, Sequence[tuple[str, str]]]] = {
    "scale": (
        "Pixel values",
        (("as usual", ""), *((name, name) for name in SCALES), ("numbers of your own", OWN_NUMBERS)),
    ),
    "fit": ("Other proportions", tuple((name, "" if name == "stretch" else name) for name in FITS)),
    "interpolation": (
        "Resized",
        tuple((name, "" if name == "bilinear" else name) for name in INTERPOLATIONS),
    ),
    "colours": ("Colours", ((_AS_DECLARED, ""), *((name, name) for name in COLOURS))),
    "channels": ("Channels", ((_AS_DECLARED, ""), ("last", "last"), ("first", "first"))),
}
_METHODS = (("predict", ""), ("classify", "classify"), ("regress", "regress"))
_FIELDS = {
    "size": ("Height x width", "As the input says, or 224x224"),
    "mean": ("Taken off", "0, or one a colour: 123.7,116.8,103.9"),
    "std": ("Divided by", "255, or one a colour"),
    "names": ("Names in a row", "input=name, separated by blanks"),
    "defaults": ("Where a row lacks it", "input=value, separated by blanks"),
    "columns": ("Columns", "The inputs in their order: age,income"),
    "delimiter": ("Between columns", ","),
    "labels": ("File with labels", "One class a line; kept in the model"),
    "new_signature_key": ("New signature key", ""),
    "new_input_key": ("New input key", ""),
    "export_base": ("Base path", "Folder that holds the numbered versions"),
}
_NUMBERS = ("mean", "std")
_USUAL_KEYS = {"image": "image_bytes", "base64": "image_base64", "example": "examples", "csv": "csv", "json": "json"}


class WrapPanel(Panel):
    """Puts a step before the chosen signature, so that clients can send what they have."""

    place = "wrap"
    title = "Structured input"
    terms = ("preprocessing",)

    def __init__(
        self,
        path: str | os.PathLike[str] | ExplorerState | None = None,
        *,
        embedded: bool | Panel = False,
        executor: Executor | None = None,
    ) -> None:
        """Makes the panel; what can't be opened is said in it, not raised.

        Args:
            path: The path of a model, or what is open in an Explorer: ``x.state``. The chosen signature is wrapped.
            embedded: As for every panel; embedded, it is closed at first.
            executor: Does slow work; None takes threads where an event loop runs, as in a notebook.
        """
        if isinstance(path, ExplorerState):
            self.explorer = path
        else:
            self.explorer = ExplorerState(path, executor=executor or background_executor())
        self.is_open, self._is_made = not embedded, False
        self._pictured: object = None
        super().__init__(cast(ExplorerState, WrapState(self.explorer)), embedded=embedded)
        self.explorer.observe(self._moved, "revision")
        self.state.observe(self._show_progress, "progress")
        self._moved(None)

    @property
    def wrap(self) -> WrapState:
        """The state of the signature in the making."""
        return cast(WrapState, self.state)

    def build(self) -> Sequence[ipywidgets.Widget]:
        """Makes the button that opens it; the rest comes when it is opened first."""
        self.toggle = self.button(_CLOSED, self._toggle)
        self.opening = self.html()  # where no model is open
        return self.toggle, self.opening

    def render(self) -> None:
        """Shows the state."""
        signature = self.wrap.signature
        set_hidden(self, self.embedded and signature is None)
        assign(self.toggle, description="Close" if self.is_open else _CLOSED)
        set_hidden(self.toggle, not self.embedded)
        why = self.explorer.error or self.wrap.problem()
        assign(self.opening, value=error_markup("" if signature is not None or self.embedded else why))
        set_hidden(self.opening, signature is not None or self.embedded)
        if self.is_open and signature is not None and not self._is_made:
            self.children = (*self.children[:-1], *self._make(), self.children[-1])  # what went wrong stands last
            self._is_made = True
        if not self._is_made:
            return
        is_shown = self.is_open and signature is not None
        has_result = self.wrap.wrapped is not None
        set_hidden(self.form, not is_shown or has_result)
        set_hidden(self.after, not is_shown)
        if is_shown:
            if not has_result:
                self._show_choices()
            self._show_picture()
            self._show_result()

    def fallback(self) -> tuple[str, str]:
        """The same as HTML and text."""
        state = self.wrap
        published, wrapped = state.published, state.wrapped
        last = ""
        if published is not None and wrapped is not None:
            last = f"Version {published.version} is written: {published.path}"
        shown = [last, sentence(state.words()[0]), state.problem() if wrapped is None else "", state.lines().python]
        shown += [sentence(state.comparison.sentence)] if state.comparison is not None else []
        lines = [one for one in shown if one]
        return page([element("pre", one) if "\n" in one else element("p", one) for one in lines]), "\n".join(lines)

    def close(self) -> None:
        """Lets go of both states."""
        if not self._closed:
            self.explorer.unobserve(self._moved, "revision")
            self.state.unobserve(self._show_progress, "progress")
        super().close()

    def _make(self) -> tuple[ipywidgets.Widget, ...]:
        choose = self.wrap.choose
        self.signature = self.dropdown("Signature", lambda key: self.ask(self.explorer.choose_signature, key))
        self.kind = self.dropdown("Takes", lambda kind: self.ask(choose, "kind", kind))
        self.input = self.dropdown("Feeds", lambda key: self.ask(choose, "input_key", key))
        self.method = self.dropdown("Answers", lambda method: self.ask(choose, "method", method))
        self.output = self.dropdown("With", lambda key: self.ask(choose, "output_key", key))
        self.choices = {name: self._choice(name, label) for name, (label, _) in _OF_PICTURES.items()}
        self.fields = {name: self._field(name, label, hint) for name, (label, hint) in _FIELDS.items()}
        self.words, self.problem = self.html(), self.html()
        self.file = FileDrop(
            self.heard(lambda name, data: self.ask(self.wrap.take_picture, name, data)),
            label="See a picture as the model does …", name="A picture to see as the model does",
            most_bytes=_MOST_BYTES, layout=self._layout,
        )  # fmt: skip
        self.seen, self.warning = self.html(), self.html()
        assign(self.warning, value=warning_markup(WARNING))
        self.export = self.button("Export", lambda: self.ask(self.wrap.wrap), kind="primary")
        self.bar = ipywidgets.FloatProgress(
            min=0, max=1, layout=self._layout, style={"bar_color": "var(--jp-brand-color1)"}
        )
        self.done = self.html()
        self.cancel = self.button("Cancel", lambda: self.ask(self.wrap.cancel))
        self.progress = self.row(self.bar, self.done, self.cancel, kind="toolbar")
        self.notice, self.result = self.html(), self.html()
        self.another = self.button("Another signature …", lambda: self.ask(self.wrap.again))
        self.consent = self.html(element("p", _COMPARE, class_="smx-note"))
        self.compare = self.button("Compare with the plain signature", self._compare)
        self.code = CodeView(label="The new signature as code", layout=self._layout)
        row_fields = ("names", "defaults", "columns", "delimiter", "labels")
        self.form = ipywidgets.VBox(
            (
                self.row(self.signature, self.kind, self.input, self.method, kind="fields"),
                self.row(self.fields["size"], *self.choices.values(), *(self.fields[name] for name in _NUMBERS),
                         kind="fields"),
                self.row(*(self.fields[name] for name in row_fields), self.output, kind="fields"),
                self.words, self.problem,
            ),
            layout=self._layout,
        )  # fmt: skip
        self.where = self.row(
            *(self.fields[name] for name in ("new_signature_key", "new_input_key", "export_base")), kind="fields"
        )
        self.after = ipywidgets.VBox(
            (
                self.result, self.file, self.seen, self.warning, self.where, self.export, self.progress, self.notice,
                self.consent, self.compare, self.code, self.another,
            ),
            layout=self._layout,
        )  # fmt: skip
        for box in (self.form, self.after):
            box.add_class("smx-stack")
        return self.form, self.after

    def _choice(self, name: str, label: str) -> ipywidgets.Dropdown:
        return self.dropdown(label, lambda value: self.ask(self.wrap.choose, name, value))

    def _field(self, name: str, label: str, hint: str) -> Field:
        field = Field(label, placeholder=hint, layout=self._layout)
        field.observe(self.heard(lambda change: self.ask(self.wrap.choose, name, change.new)), "value")
        return field

    def _moved(self, _change: object) -> None:
        """Something else was chosen in the Explorer."""
        if not self._closed:
            self.wrap.follow()

    def _toggle(self) -> None:
        self.is_open = not self.is_open
        self.show()

    def _compare(self) -> None:
        self.ask(self.wrap.compare, consent=True)  # the sentence above the button says what it runs

    def _show_choices(self) -> None:
        state, signature, explorer = self.wrap, self.wrap.signature, self.explorer
        assert signature is not None and explorer.meta_graph is not None  # the form is hidden without
        takes_pictures = state.image_options() is not None or (state.kind == "image")
        keys = tuple(explorer.meta_graph.callable_signatures)
        set_options(self.signature, [(key, key) for key in keys], signature.key)
        set_hidden(self.signature, self.embedded or len(keys) < 2)
        set_options(self.kind, [(KINDS[kind], kind) for kind in state.kinds()], state.kind)
        first = "the one that can be meant" if state.kind in PICTURES else "all inputs"
        set_options(self.input, [(first, ""), *((key, key) for key in signature.inputs)], state.input_key)
        set_hidden(self.input, len(signature.inputs) < 2)
        set_options(self.method, _METHODS, state.method)
        set_hidden(self.method, state.kind not in OPTIONS["method"].kinds)
        outputs = [("the output that fits", ""), *((key, key) for key in signature.outputs)]
        set_options(self.output, outputs, state.output_key)
        set_hidden(self.output, len(signature.outputs) < 2 or not (state.labels.strip() or state.method))
        for name, choice in self.choices.items():
            set_options(choice, _OF_PICTURES[name][1], getattr(state, name))
            set_hidden(choice, not takes_pictures)
        for name, field in self.fields.items():
            if field.value != getattr(state, name):
                field.fill(getattr(state, name))
            is_for_kind = name == "export_base" or state.kind in OPTIONS[name].kinds
            is_for_pictures = name == "size" or name in _NUMBERS
            is_own = name not in _NUMBERS or state.scale == OWN_NUMBERS
            set_hidden(field, not (is_for_kind and is_own) or (is_for_pictures and not takes_pictures))
        assign(self.fields["new_signature_key"], placeholder=state.usual_key)
        assign(self.fields["new_input_key"], placeholder=_USUAL_KEYS.get(state.kind, ""))
        words, reasons = state.words()
        lines: list[Child] = [element("p", f"{sentence(words)}.")] if words else []
        facts = [element("span", element("strong", what), " ", why) for what, why in reasons]
        lines += [element("p", facts, class_="smx-facts smx-note")] if facts else []
        assign(self.words, value=str(join(lines)))
        set_hidden(self.words, not lines)
        problem = state.problem()
        assign(self.problem, value=error_markup(problem))
        set_hidden(self.problem, not problem)

    def _show_picture(self) -> None:
        state = self.wrap
        takes_pictures = state.image_options() is not None
        for widget in (self.file, self.warning):
            set_hidden(widget, not takes_pictures)
        set_hidden(self.seen, not takes_pictures or state.picture is None)
        if state.picture is None:
            return
        name, data = state.picture
        if self._pictured is not data:
            self._pictured = data
            assign(self.file, picture=thumbnail(data), alt=printable_name(f"The picture {name}"))
        lines: list[Child] = []
        if state.view_problem:
            lines.append(element("p", element("strong", "▲ "), state.view_problem, class_="smx-error"))
        elif state.view is not None:
            height, width = state.view.size
            shape = " × ".join(map(str, state.view.pixels.shape))
            caption = f"{name}: {state.view.format}, {height} × {width} pixels; the model gets {shape}"
            lines += [
                picture(state.view.png, f"{name} as the model sees it", "smx-as-seen"),
                element("p", caption, class_="smx-note"),
                *(element("p", sentence(note), class_="smx-note") for note in state.view.notes),
            ]
        elif state.is_looking:
            lines.append(element("p", "Starting TensorFlow to decode it …", class_="smx-note"))
        assign(self.seen, value=str(element("div", join(lines), role="status")))

    def _show_result(self) -> None:
        state = self.wrap
        published, wrapped = state.published, state.wrapped
        there = published is not None and wrapped is not None
        number, why = state.export_target()
        assign(
            self.fields["export_base"], problem=why, placeholder=self.explorer.export_base or _FIELDS["export_base"][1]
        )
        assign(
            self.export,
            description="Export" if number is None else f"Export as {number}",
            disabled=bool(state.busy or state.problem()),
        )
        for widget in (self.where, self.export):
            set_hidden(widget, there)
        set_hidden(self.progress, not state.busy)
        set_hidden(self.cancel, state.busy != "wrapping")
        self._show_progress(None)
        set_hidden(self.notice, not state.notice or there)
        assign(self.notice, value=str(element("p", state.notice, class_="smx-notice", role="status")))
        lines = state.lines()
        note = "" if lines.command else _DRAFT
        codes = [Code("Python", lines.python, note)]
        codes += [Code("Command", lines.command)] if lines.command else []
        if there and not self.embedded:
            codes.append(Code("Request", protocol_preview(self.explorer, self.explorer.shown_protocol).text))
        self.code.show(*codes)
        set_hidden(self.code, not lines.python)
        for widget in (self.result, self.another):
            set_hidden(widget, not there)
        is_compared = state.comparison is not None
        can_compare = there and wrapped.image is not None and state.view is not None and not is_compared
        for widget in (self.consent, self.compare):
            set_hidden(widget, not can_compare or bool(state.busy))
        if there:
            key = wrapped.signature_key
            shown: list[Child] = [
                element("p", element("strong", f"● Version {published.version} is written: "),
                        element("code", str(published.path))),
                element("p", f"Request shows what clients send to its signature {key}."),
                element("p", sentence(wrapped.words), class_="smx-note"),
                *(element("p", sentence(note), class_="smx-note") for note in published.notes),
            ]  # fmt: skip
            if is_compared:
                shown.append(element("p", sentence(state.comparison.sentence)))
            assign(self.result, value=str(element("div", join(shown), class_="smx-good-box", role="status")))

    def _show_progress(self, _change: Any) -> None:
        state = self.wrap
        if not self._is_made or not state.busy:
            return
        done, total = state.progress
        assign(self.bar, value=done / total if total else 0.0)
        words = "Running the model …" if state.busy == "comparing" else "TensorFlow traces the new step …"
        if total and state.busy == "wrapping":
            words = f"Writing: {printable_size(done)} of {printable_size(total)}"
        assign(self.done, value=str(element("p", words, class_="smx-note", role="status")))


__all__ = ["WrapPanel"]
