"""The state of the drawing of a signature: what is unfolded, what was found, what is looked at."""

from __future__ import annotations

from collections.abc import Callable

import traitlets

from explorer.diagnosing.flow import Flow, Found, Path, View, flow_of
from explorer.errors import EditError, printable_name
from explorer.savedmodel.model import MetaGraph, Signature
from explorer.state.explorer_state import ExplorerState
from explorer.state.telling import Held, TellingState, intent

_MOST_FOUND = 50

_Look = Callable[[], tuple[Flow, View, frozenset[Path]]]


class FlowState(TellingState):
    """What the drawing shows, and its intents. It follows what is open and chosen in an Explorer.

    Attributes:
        is_open: Whether anything is drawn; nothing is read before that.
        flow: What the chosen signature runs; None where there is none, or it can't be read.
        view: What is seen of it.
        unfolded: The paths of the groups that are unfolded.
        chosen: The path of the box that is looked at; empty for none.
        goal: Counts up when the box that is looked at shall come into sight.
        orders: Whether control edges are drawn too.
        query: What was searched for last.
        found: What was found then, best first.
        searches: Counts up whenever a search has ended.
        is_reading: Whether something is being read.
    """

    is_open = traitlets.Bool(False)
    flow = Held(None)
    view = Held(None)
    unfolded = Held(frozenset())
    chosen = traitlets.Tuple(())
    goal = traitlets.Int(0)
    orders = traitlets.Bool(False)
    query = traitlets.Unicode()
    found = traitlets.Tuple(())
    searches = traitlets.Int(0)
    is_reading = traitlets.Bool(False)

    def __init__(self, explorer: ExplorerState, *, is_open: bool = False) -> None:
        """Makes a state.

        Args:
            explorer: What is open and chosen.
            is_open: Whether to draw at once.
        """
        super().__init__(explorer._executor, explorer._deliver)
        self.explorer = explorer
        self.lock = explorer.lock  # each of the two calls the other, so with two locks they could wait for each other
        self._turn = 0
        self._drawn: tuple[MetaGraph, Signature] | None = None
        self._about: object = None
        if is_open:
            self.open()

    @property
    def path(self) -> str:
        """The path of the model."""
        return str(self.explorer.path)

    @intent
    def open(self) -> None:
        """Begins to draw."""
        self.is_open = True
        self._follow()

    @intent
    def close(self) -> None:
        """Draws no longer, and forgets what was read."""
        self.is_open, self._drawn = False, None
        self._turn += 1
        self._forget()

    @intent
    def follow(self) -> None:
        """Draws what is chosen in the Explorer, where that is another signature or draft than before."""
        self._follow()

    @intent
    def unfold(self, path: Path) -> None:
        """Unfolds a group, and the groups that it is in."""
        flow, unfolded = self._opened(), self.unfolded
        self.chosen = path
        self._read(lambda: _look(flow, flow.unfold(unfolded, path)))

    @intent
    def fold(self, path: Path) -> None:
        """Folds a group."""
        flow, unfolded = self._opened(), self.unfolded
        self.chosen = path
        self._read(lambda: _look(flow, frozenset(one for one in unfolded if one[: len(path)] != path)))

    @intent
    def fold_all(self) -> None:
        """Goes back to how it was in the beginning."""
        flow = self._opened()
        self.chosen = ()
        self._read(lambda: _look(flow, flow.first_unfolded()))

    @intent
    def choose(self, path: Path, *, comes_into_sight: bool = True) -> None:
        """Looks at a box that is seen."""
        self.chosen = path
        self.goal += comes_into_sight

    @intent
    def show_orders(self, orders: bool) -> None:
        """Shows control edges, or hides them."""
        self.orders = orders

    @intent
    def search(self, text: str) -> None:
        """Finds nodes by a part of their name or op, in all functions."""
        flow = self._opened()
        self.query = text

        def done(found: list[Found]) -> None:
            if self.flow is flow and self.query == text:
                self.found = tuple(found)
                self.searches += 1

        self.run(lambda: flow.search(text, _MOST_FOUND), done)

    @intent
    def go_to(self, path: Path) -> None:
        """Unfolds all that a box is in, and looks at it."""
        flow, unfolded = self._opened(), self.unfolded
        self.chosen = path
        self._read(lambda: _look(flow, flow.unfold(unfolded, path[:-1])), comes_into_sight=True)

    def _follow(self) -> None:
        meta_graph, signature = self.explorer.meta_graph, self.explorer.signature
        if not self.is_open:
            return
        if meta_graph is None or signature is None:
            self._drawn = None
            self._turn += 1
            self._forget()
            return
        if self._drawn is not None and self._drawn[0] is meta_graph and self._drawn[1] is signature:
            return
        self._drawn = (meta_graph, signature)
        about = (self.explorer.model and self.explorer.model.path, self.explorer.meta_graph_index, signature.key)
        # After an edit the same is unfolded as before, as far as it is still there.
        kept = self.unfolded if about == self._about else None
        if kept is None:
            self._forget()
        self._about = about

        def look() -> tuple[Flow, View, frozenset[Path]]:
            flow = flow_of(meta_graph, signature.key)
            return _look(flow, flow.first_unfolded() if kept is None else kept)

        self._read(look)

    def _read(self, look: _Look, *, comes_into_sight: bool = False) -> None:
        self._turn = turn = self._turn + 1
        self.is_reading = True

        def done(seen: tuple[Flow, View, frozenset[Path]]) -> None:
            if turn == self._turn:
                self.flow, self.view, self.unfolded = seen
                self.is_reading = False
                if comes_into_sight:
                    self.goal += 1

        def failed() -> None:
            if turn == self._turn:
                self.is_reading = False
                if self.view is None:
                    self.flow = None

        self.run(look, done, failed)

    def _forget(self) -> None:
        self.flow = self.view = None
        self.unfolded, self.chosen, self.found, self.query = frozenset(), (), (), ""
        self.is_reading, self._about = False, None

    def _opened(self) -> Flow:
        if self.flow is None:
            key = self.explorer.signature_key
            about = f"signature {printable_name(key)}" if key else "no signature is chosen, and it"
            raise EditError(f"{about} is not drawn yet; open the drawing first")
        flow: Flow = self.flow
        return flow


def _look(flow: Flow, unfolded: frozenset[Path]) -> tuple[Flow, View, frozenset[Path]]:
    return flow, flow.view(unfolded), unfolded
