"""A request and its answer: the body, what is wrong with it, who answers it, and what was answered so far."""

from __future__ import annotations

import json
from collections.abc import Sequence

import ipywidgets

from explorer.render.html import page
from explorer.render.markup import Markup, element, join
from explorer.serving.body import json_text
from explorer.serving.shortened import shortened
from explorer.state.answering import VERBS
from explorer.state.protocols import address
from explorer.state.telling import sentence
from explorer.widgets.answer_history import AnswerHistory
from explorer.widgets.answer_result import AnswerResult, result_text
from explorer.widgets.field import Field
from explorer.widgets.lint_findings import LintFindings, findings_text
from explorer.widgets.panel import Panel, assign, set_hidden, set_options

_HERE, _SERVER = "in a child process here", "a running server"
_CONSENT = (
    "This executes the model's graph with what it contains, in a child process with limits; it needs TensorFlow, and "
    "the first answer takes some seconds. Nothing runs before you press the button."
)
_NOTHING = "Nothing has been asked yet: a model runs only when somebody asks for it."
_LONGEST_LINE = 80
_LONGEST_BODY = 20_000  # characters of an example that stands in the field
_WORDS = {
    "loading": "Loading the model in a child process, then running it …",
    "running": "Running the model …",
    "asking": "Asking the server …",
}


class AnswerPanel(Panel):
    """What comes back for a request, before anything is deployed."""

    place = "answer"
    title = "Answer"
    terms = ("child process", "warm-up record")

    def build(self) -> Sequence[ipywidgets.Widget]:
        """Makes its widgets; those for answers come with the first one."""
        self.verb = self.dropdown("verb", lambda verb: self.ask(self.state.choose_verb, verb))
        self.target = self.html()
        self.back = self.button("Back to the example", lambda: self.ask(self.state.edit_body, None))
        self.body = Field("Body", lines=5, on_submit=self.heard(self._submit), layout=self._layout)
        self.body.observe(self.heard(lambda change: self.ask(self.state.edit_body, change.new)), "value")
        self.findings = LintFindings(self)
        self.who = ipywidgets.ToggleButtons(
            options=[(_HERE, "here"), (_SERVER, "server")], layout=self._layout, style={"button_width": "auto"}
        )
        self.who.observe(self.heard(lambda change: self.ask(self.state.choose_answerer, change.new)), "value")
        self.server: ipywidgets.Box | None = None
        self.consent = self.html()
        self.run = self.button("Run", self._run, kind="primary")
        self.both = self.button("Ask both", lambda: self._ask_for("both"), tooltip="The model here and the server")
        self.stop = self.button("Cancel run", lambda: self.ask(self.state.cancel_run))
        self.working = self.html()
        self.run_row = self.row(self.run, self.both, self.stop, self.working, kind="toolbar")
        self.answerers = self.row(self.html("Answered by"), self.who, kind="toolbar")
        self.place_of_server = self.row(kind="fields")
        self.result = AnswerResult(self)
        self.history = AnswerHistory(self)
        return (
            self.row(self.verb, self.target, self.back, kind="toolbar"), self.body, *self.findings.widgets,
            self.answerers, self.place_of_server, self.consent, self.run_row, *self.result.widgets,
            *self.history.widgets,
        )  # fmt: skip

    def render(self) -> None:
        """Shows the state."""
        state = self.state
        there = state.signature is not None and not state.signature.is_reserved
        set_hidden(self, not there)
        if not there:
            return
        typed = state.typed_body
        set_options(self.verb, [(verb, verb) for verb in VERBS], state.verb)
        where = address(state, state.verb if state.verb in ("classify", "regress") else "rest_row")
        assign(self.target, value=str(element("p", where, class_="smx-muted")))
        self._show_body()
        set_hidden(self.back, typed is None)
        self.findings.show(None if typed is None else state.lint, is_there=typed is not None)
        asked = "here" if state.answered_by == "here" else "server"
        assign(self.who, value=asked)
        self._show_server(asked == "server")
        assign(self.consent, value=str(element("p", self._consent(), class_="smx-note")))
        is_running = bool(state.running)
        set_hidden(self.consent, is_running or not self._consent())
        assign(self.run, description="Run the model" if asked == "here" else "Ask the server")
        can_run = bool(state.body) or typed is not None
        for button in (self.run, self.both):
            assign(button, disabled=is_running or not can_run)
        set_hidden(self.both, asked == "here")
        set_hidden(self.stop, not is_running)
        working = _WORDS.get(state.running, "")
        assign(self.working, value=str(element("p", working, class_="smx-muted", role="status")))
        self.result.show()
        self.history.show()

    def fallback(self) -> tuple[str, str]:
        """The same as HTML and text."""
        state = self.state
        if state.signature is None:
            return page(element("p", _NOTHING)), _NOTHING
        lines = [f"{state.verb}: {shortened(state.body)}"] if state.body else [sentence(state.example_body[1])]
        if state.typed_body is not None and state.lint is not None:
            lines += findings_text(state.lint)
        lines += result_text(state.answer) if state.answer is not None else [_NOTHING]
        pieces: list[Markup] = [element("p", join(line.split("\n"), element("br"))) for line in lines]
        return page(pieces), "\n".join(lines)

    def close(self) -> None:
        """Lets go of the state, as every panel does, and ends the model's process."""
        if not self._closed:
            self.state.close_engine()
        super().close()

    def _show_body(self) -> None:
        state = self.state
        typed, (example, problem) = state.typed_body, state.example_body
        is_long = len(example) > _LONGEST_BODY
        wanted = typed if typed is not None else "" if is_long else _readable(example)
        if self.body.value != wanted:
            self.body.fill(wanted)
        hint = ""
        if typed is None and is_long:
            hint = (
                f"The example has {len(example):,} characters and is sent whole. Type or paste another to replace it."
            )
        assign(
            self.body,
            placeholder=shortened(example, 1000) if typed is None and is_long else "",
            problem=sentence(problem) if typed is None else "",
            hint=hint,
        )

    def _show_server(self, wanted: bool) -> None:
        state = self.state
        if wanted and self.server is None:
            self.url = Field("Server URL", placeholder="http://localhost:8501", layout=self._layout)
            self.name = Field("Model name there", layout=self._layout)
            self.grpc = Field("Or its gRPC address", placeholder="localhost:8500", layout=self._layout)
            for field in (self.url, self.name, self.grpc):
                field.observe(self.heard(lambda _: self._use_server()), "value")
            self.place_of_server.children = (self.url, self.name, self.grpc)
            self.server = self.place_of_server
        set_hidden(self.place_of_server, not wanted)
        if self.server is None:
            return
        from explorer.serving.snippets import served_name

        assign(self.name, placeholder=served_name(state.model) if state.model is not None else "")
        for field, text in (
            (self.url, state.server_url),
            (self.name, state.server_name),
            (self.grpc, state.server_grpc),
        ):
            if field.value.strip() != text:
                field.fill(text)

    def _consent(self) -> str:
        state = self.state
        if state.answered_by == "here":
            return "" if state.has_consent else _CONSENT
        # The same for every URL: were it to grow when the URL is left, the button would move away under the mouse.
        both = "" if state.has_consent else " Ask both executes the model's graph here as well, in a child process."
        return f"The body goes to the server whose URL stands above, such as http://localhost:8501.{both}"

    def _use_server(self) -> None:
        self.ask(self.state.use_server, self.url.value, self.name.value, self.grpc.value)

    def _run(self) -> None:
        self._ask_for("here" if self.state.answered_by == "here" else "server")

    def _ask_for(self, who: str) -> None:
        self.ask(self.state.run_request, consent=True, where=who)  # the click, below the sentence, is the consent

    def _submit(self) -> None:
        """Ctrl+Enter in the field: only once somebody has agreed to run the model."""
        if self.state.answered_by != "here" or self.state.has_consent:
            self._run()


def _readable(body: str) -> str:
    """A body of more than a line on several, as it is read and edited."""
    return body if len(body) <= _LONGEST_LINE else json_text(json.loads(body), indent=2)
