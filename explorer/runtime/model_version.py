"""One version folder in a child process of its own: loaded, warmed up, run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from explorer.errors import RunError
from explorer.runtime.engine import Engine, Limits
from explorer.runtime.warm_up import warm_up
from explorer.savedmodel.model import MetaGraph
from explorer.savedmodel.opening import open_saved_model
from explorer.savedmodel.tensors import Tensor


class ModelVersion:
    """What serves one version folder.

    Args:
        folder: The version folder.
        tags: The tag set of the meta graph that is served.
        limits: What its child process may use.
    """

    def __init__(self, folder: Path, tags: Iterable[str], limits: Limits) -> None:
        self._folder = folder
        self._tags = tuple(tags)
        self._engine = Engine(folder, self._tags, limits=limits)
        self._meta_graph: MetaGraph | None = None

    @property
    def meta_graph(self) -> MetaGraph:
        """The meta graph that is served.

        Raises:
            RunError: It isn't loaded.
        """
        if self._meta_graph is None:
            raise RunError("the version isn't loaded")
        return self._meta_graph

    def load(self) -> None:
        """Loads it and replays its warm-up requests.

        Raises:
            RequestError: TensorFlow can't load it or a warm-up request fails, with code and sentence of the server.
            RunError: The child process ended.
            ExplorerError: Its files can't be read.
        """
        self._engine.load()  # first, so that it is TensorFlow that says what is wrong with a folder
        self._meta_graph = open_saved_model(self._folder).meta_graph(self._tags)
        warm_up(self._folder, self)

    def run(self, feeds: Mapping[str, Tensor], fetches: Sequence[str]) -> list[Tensor]:
        """Runs it: tensor name → value, the tensors to give back."""
        return self._engine.run(feeds, fetches)

    def close(self) -> None:
        """Ends the child process; may be called by any thread, and twice."""
        self._engine.close()
