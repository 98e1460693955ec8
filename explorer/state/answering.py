"""Requests that are answered: by the model as it is open, in a child process here, or by a running server.

Running a model is running a program: nothing runs before somebody says so. What was answered is kept, with its body.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import traitlets

from explorer.errors import ExplorerError, NotFoundError, RequestError, RunError
from explorer.state.answers import Answered, BodyQuestion, Started, lint_body
from explorer.state.protocols import rest_body
from explorer.state.requests import RequestsState
from explorer.state.telling import Held, intent

if TYPE_CHECKING:
    from explorer.runtime.draft import WarmModel
    from explorer.runtime.rest_api import RestAnswer
    from explorer.serving.lint import LintResult

VERBS = ("predict", "classify", "regress")
"""What can be asked for."""

ANSWERERS = ("here", "server", "both")
"""Who can be asked."""

_MOST_ANSWERS = 50
_MOST_KEPT_BYTES = 64 << 20
_MOST_LINTED_AT_ONCE = 64 << 10  # characters; longer bodies are looked at in the executor


class AnsweringState(RequestsState):
    """The part of the state that asks for answers.

    Attributes:
        answered_by: Who is asked: ``"here"``, ``"server"`` or ``"both"``.
        server_url: A running server, such as ``http://localhost:8501``; empty for none.
        server_name: The model's name there.
        server_grpc: Where it speaks gRPC, such as ``localhost:8500``; used where there is no URL.
        wanted_verb: What is asked for, of ``VERBS``; empty for what the example request is.
        bodies: Meta graph and signature key → the body that was typed instead of the example.
        running: What is at work: ``"loading"`` the model and then running it, ``"running"``, ``"asking"`` a server;
            empty when nothing is.
        answers: What was answered, the newest first.
        answer: The answer that is shown.
        has_consent: Whether somebody has agreed to run this model.
        client: What client code is shown, one of ``CLIENTS`` of :mod:`~explorer.state.client_codes`; empty for none.
    """

    answered_by = traitlets.Enum(ANSWERERS, "here")
    server_url = traitlets.Unicode()
    server_name = traitlets.Unicode()
    server_grpc = traitlets.Unicode()
    wanted_verb = traitlets.Enum(("", *VERBS), "")
    bodies = Held(MappingProxyType({}))
    running = traitlets.Unicode()
    answers = traitlets.Tuple()
    answer = Held(None)
    has_consent = traitlets.Bool(False)
    client = traitlets.Unicode()

    _warm: WarmModel | None = None
    _ticket: object = None
    _count: int = 0
    _linted: tuple[BodyQuestion, LintResult | None] | None = None
    _example: tuple[tuple[object, ...], str, str] | None = None

    @property
    def body(self) -> str:
        """The body that is asked with: what was typed, or the example; empty where REST can't carry any."""
        typed = self.typed_body
        return self.example_body[0] if typed is None else typed

    @property
    def typed_body(self) -> str | None:
        """The body that was typed for the chosen signature; None where it is the example."""
        typed: str | None = self.bodies.get((self.meta_graph_index, self.signature_key))
        return typed

    @property
    def example_body(self) -> tuple[str, str]:
        """The body made from the values, and why there is none, in a sentence."""
        question = (
            self.model, self.meta_graph, self.signature, self.values_kind, self.batch, self.seed, self.given,
            self.protocol, self.body_format,
        )  # fmt: skip
        if self._example is None or not all(a is b for a, b in zip(self._example[0], question, strict=True)):
            try:
                self._example = (question, rest_body(self), "")
            except ExplorerError as error:
                self._example = (question, "", str(error))
        return self._example[1:]

    @property
    def verb(self) -> str:
        """What is asked for: ``predict``, ``classify`` or ``regress``."""
        if self.wanted_verb:
            return str(self.wanted_verb)
        protocol = self.rest_protocol
        return protocol if protocol in VERBS else "predict"

    @property
    def lint(self) -> LintResult | None:
        """What is to be said about the body; None where there is none, or a long one is still looked at."""
        meta_graph, body = self.meta_graph, self.body
        if meta_graph is None or self.signature is None or (self.typed_body is None and not body):
            return None
        question = BodyQuestion(body, meta_graph, self.verb, self.signature.key)
        if self._linted is None or not self._linted[0].is_same(question):
            if len(body) > _MOST_LINTED_AT_ONCE:
                self._lint_later(question)
                return None
            self._linted = (question, lint_body(question))
        return self._linted[1]

    @intent
    def edit_body(self, text: str | None) -> None:
        """Takes a body instead of the example; None goes back to the example."""
        self._asked()
        self._type_body(text)

    @intent
    def correct_body(self) -> None:
        """Takes the body that the linter corrected."""
        found = self.lint
        if found is None or found.corrected is None:
            raise RequestError(f"there is no corrected body{'' if found is None else f': {found.reason}'}")
        self._type_body(found.corrected)

    @intent
    def choose_verb(self, verb: str) -> None:
        """Chooses what is asked for: ``"predict"``, ``"classify"``, ``"regress"``; empty for what the example is."""
        if verb not in ("", *VERBS):
            raise NotFoundError("verb", verb, VERBS)
        self.wanted_verb = verb

    @intent
    def choose_answerer(self, who: str) -> None:
        """Chooses who is asked: ``"here"``, ``"server"`` or ``"both"``."""
        if who not in ANSWERERS:
            raise NotFoundError("answerer", who, ANSWERERS)
        self.answered_by = who

    @intent
    def choose_client(self, client: str) -> None:
        """Chooses what client code is shown: a language, a description of the API, or a hand-over; empty for none."""
        from explorer.state.client_codes import CLIENTS

        if client and client not in CLIENTS:
            raise NotFoundError("client code", client, CLIENTS)
        self.client = client

    @intent
    def use_server(self, url: str, name: str = "", grpc: str = "") -> None:
        """Says where a server runs, and asks it from now on.

        Args:
            url: Its REST API, such as ``http://localhost:8501``; empty where it is to be asked by gRPC.
            name: The model's name there; empty for the name of the base path.
            grpc: Its gRPC API, such as ``localhost:8500``.
        """
        self.server_url, self.server_name, self.server_grpc = url.strip(), name.strip(), grpc.strip()
        if self.answered_by == "here":
            self.answered_by = "server"

    @intent
    def run_request(self, *, consent: bool = False, where: str | None = None) -> None:
        """Asks with the body; ``answer`` has what comes back.

        It goes on in the executor: ``running`` says what is at work until the answer is there, or ``error`` says why
        there is none. :meth:`cancel_run` stops it.

        Args:
            consent: True says that the model may be run, in a child process; a server needs none.
            where: ``"here"``, ``"server"`` or ``"both"``; None for ``answered_by``.
        """
        meta_graph, signature = self._asked()
        who = self.answered_by if where is None else where
        if who not in ANSWERERS:
            raise NotFoundError("answerer", str(who), ANSWERERS)
        if self.running:
            raise RunError("a request is under way; wait for its answer or stop it first")
        if self.typed_body is None and self.example_body[1]:
            raise RequestError(self.example_body[1])
        if who != "server" and not consent:
            from explorer.runtime.draft import NO_CONSENT

            raise RunError(NO_CONSENT)
        here = None if who == "server" else self._warm_model()
        server = None if who == "here" else self._server()
        asks = [one for one in (None if here is None else here.ask, server) if one is not None]
        self.has_consent = self.has_consent or here is not None
        self.running = "asking" if here is None else "running" if here.is_warm else "loading"
        self._ticket = ticket = object()
        start = Started(
            self.meta_graph_index, signature.key, self.verb, self.body, self.typed_body is None, who
        )  # fmt: skip

        def work() -> list[RestAnswer] | None:
            try:
                return [ask(start.verb, start.body) for ask in asks]
            except RunError:
                if self._ticket is ticket:
                    raise
                return None  # nobody wants to hear what went wrong after it was stopped

        def done(found: list[RestAnswer] | None) -> None:
            if self._ticket is ticket and found:
                try:
                    self._keep(self._answered(start, found))
                finally:  # last, for whoever waits for it to look at the answer
                    self.running, self._ticket = "", None

        def failed() -> None:
            if self._ticket is ticket:
                self.running, self._ticket = "", None

        self.run(work, done, failed)

    @intent
    def cancel_run(self) -> None:
        """Stops the request that is under way, and ends the model's child process."""
        if not self.running:
            raise RunError("no request is under way that could be stopped")
        was_server = self.running == "asking"
        self._stop_run()
        self.notice = "Stopped; an answer of the server is not heard any more." if was_server else (
            "Stopped, and the model's process has ended."
        )  # fmt: skip

    @intent
    def choose_answer(self, number: int) -> None:
        """Shows an answer of the history again, with its body."""
        found = next((one for one in self.answers if one.number == number), None)
        if found is None:
            raise NotFoundError("answer", str(number), (str(one.number) for one in self.answers))
        self.answer = found
        graphs = self._opened().meta_graphs
        if found.meta_graph_index < len(graphs) and found.signature_key in graphs[found.meta_graph_index].signatures:
            self.meta_graph_index, self.signature_key = found.meta_graph_index, found.signature_key
        self.wanted_verb = "" if found.is_example else found.verb
        is_still_example = found.is_example and self.typed_body is None and self.example_body[0] == found.body
        if not is_still_example:
            self._type_body(found.body)
            self.wanted_verb = found.verb

    def close_engine(self) -> None:
        """Ends the model's child process, if there is one; the next request starts another."""
        with self.lock:
            self._stop_run()

    def _type_body(self, text: str | None) -> None:
        place = (self.meta_graph_index, self.signature_key)
        bodies: dict[Any, str] = {key: body for key, body in self.bodies.items() if key != place}
        self.bodies = MappingProxyType(bodies if text is None else {**bodies, place: text})

    def _answered(self, start: Started, found: list[RestAnswer]) -> Answered:
        from explorer.runtime.remote import same_answer

        other = found[1] if len(found) > 1 else None
        self._count += 1
        return Answered(
            self._count, datetime.now().astimezone(), start.meta_graph_index, start.signature_key, start.verb,
            start.body, start.is_example, start.where, found[0], other,
            None if other is None else same_answer(found[0], other),
        )  # fmt: skip

    def _keep(self, answered: Answered) -> None:
        kept, size = [answered], answered.size_bytes
        for one in self.answers:
            size += one.size_bytes
            if len(kept) < _MOST_ANSWERS and size <= _MOST_KEPT_BYTES:
                kept.append(one)
        self.answers, self.answer = tuple(kept), answered

    def _warm_model(self) -> WarmModel:
        from explorer.runtime.draft import WarmModel

        model, meta_graph = self.model, self.meta_graph
        assert model is not None and meta_graph is not None
        if self._warm is None or not self._warm.serves(model, meta_graph.tags):
            if self._warm is not None:
                _close(self._warm)
            self._warm = WarmModel(model, meta_graph.tags)
        return self._warm

    def _server(self) -> Callable[[str, str], RestAnswer]:
        from explorer.serving.snippets import served_name

        name = self.server_name or served_name(self._opened())
        asked: Any
        if self.server_url:
            from explorer.runtime.remote import remote_rest

            asked = remote_rest(self.server_url, name)
        elif self.server_grpc:
            from explorer.runtime.remote_grpc import remote_grpc

            asked = remote_grpc(self.server_grpc, name)
        else:
            raise RunError("give the server's URL, such as http://localhost:8501, or its address for gRPC")

        def ask(verb: str, body: str) -> RestAnswer:
            asks = {"predict": asked.predict, "classify": asked.classify, "regress": asked.regress}
            answer: RestAnswer = asks[verb](body)
            return answer

        return ask

    def _lint_later(self, question: BodyQuestion) -> None:
        self._linted = (question, None)

        def done(found: LintResult | None) -> None:
            if self._linted is not None and self._linted[0] is question:
                self._linted = (question, found)

        self.run(lambda: lint_body(question), done)

    def _stop_run(self) -> None:
        warm, self._warm, self._ticket = self._warm, None, None
        self.running = ""
        if warm is not None:
            _close(warm)

    def _forget_answers(self, *, all_of_them: bool) -> None:
        """Ends the model's process: another one is open now. The history stays among versions of one model."""
        self._stop_run()
        self.bodies, self.wanted_verb, self.has_consent = MappingProxyType({}), "", False
        self._linted = self._example = None
        if all_of_them:
            self.answers, self.answer = (), None


def _close(warm: WarmModel) -> None:
    """Ends a child process without waiting for it, nor for a load that has just begun."""
    threading.Thread(target=warm.close, name="savedmodel-explorer-close", daemon=True).start()
