"""A model as it is open, edits and all, kept warm for requests: a draft runs from a folder that costs nothing to make.

A draft's folder holds its ``saved_model.pb``; everything else in it links to the source. A model without edits runs
from its own folder.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from explorer.errors import ExplorerError, RunError, quoted
from explorer.runtime.rest import NO_CONSENT, Rest, rest
from explorer.runtime.rest_api import RestAnswer
from explorer.savedmodel import constants
from explorer.savedmodel.folder import list_files
from explorer.savedmodel.model import SavedModel
from explorer.savedmodel.overlay import FileSource
from explorer.serving.snippets import served_name

__all__ = ["NO_CONSENT", "WarmModel", "make_draft_folder"]

_MOST_WARM = 2
"""A loaded model takes hundreds of megabytes, and a cell that is run again leaves the one before behind."""

_FIRST_VERSION = 1
_LEFT_OUT = frozenset({*constants.MODEL_FILE_NAMES, constants.FINGERPRINT, constants.WARMUP_FILE})
_FOLDERS = (constants.VARIABLES_FOLDER, constants.ASSETS_FOLDER)


def make_draft_folder(model: SavedModel, parent: Path) -> Path:
    """Makes the folder of a draft: its ``saved_model.pb``, and links to all that lies beside the source's.

    Warm-up records are left out: whether those of the source still fit is for the export to say, and nobody waits here
    for their replay.

    Args:
        model: The draft.
        parent: An empty folder; the new one gets the number of the model's version in it.

    Returns:
        The folder, one that a server could load.

    Raises:
        RunError: The model has no folder, or its links can't be made.
        SourceError: The source has changed since it was opened.
    """
    if model.document is None or model.path is None:
        raise RunError("this model was made from data and lies in no folder, so it has no variables to run with")
    folder = parent / str(_FIRST_VERSION if model.version is None else model.version)
    try:
        folder.mkdir()
        with open(folder / constants.SAVED_MODEL_PB, "xb") as file:
            model.document.write_to(file)
        for source in {id(piece.source): piece.source for piece in model.document.pieces}.values():
            if isinstance(source, FileSource):
                source.check_unchanged()
        _link_files(model.path.resolve(), folder)
        for name, content in model.added_files.items():
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.exists():  # its name says what is in it, so the source has the same
                place.write_bytes(content)
    except OSError as error:
        where = quoted(str(error.filename or folder))
        raise RunError(f"the draft can't be made ready to run: {where}: {error.strerror or error}") from None
    return folder


class WarmModel:
    """A model that answers requests as TensorFlow Serving would, in a child process that stays until it is closed.

    Making one costs nothing; the first request loads the model. Threads may share it. At most two are warm in one
    process: a third one's first request closes the oldest, which loads again when it is asked again.

    Args:
        model: The model, edited or not.
        tags: The tag set of the meta graph that answers.
    """

    _warm: deque[weakref.ref[WarmModel]] = deque()
    _warm_lock = threading.Lock()

    def __init__(self, model: SavedModel, tags: Iterable[str]) -> None:
        self.model = model
        self.tags = frozenset(tags)
        self._rest: Rest | None = None
        self._folder: weakref.finalize[[str, bool], WarmModel] | None = None
        self._is_closed = False
        self._lock = threading.Lock()

    @property
    def is_warm(self) -> bool:
        """Whether it was asked before, so that the next answer need not wait until the model is loaded."""
        return self._rest is not None

    def serves(self, model: SavedModel | None, tags: Iterable[str]) -> bool:
        """Whether it is this model's: the same draft and the same meta graph."""
        return model is self.model and frozenset(tags) == self.tags

    def ask(self, verb: str, body: str | bytes) -> RestAnswer:
        """Answers one request; the caller has the consent to run the model.

        Args:
            verb: ``predict``, ``classify`` or ``regress``.
            body: The request body.

        Raises:
            RunError: It is closed, or a draft can't be made ready to run.
            SourceError: The folder is gone or has changed.
            NotFoundError: The folder has no such meta graph any more.
        """
        served = self._served()
        asks = {"predict": served.predict, "classify": served.classify, "regress": served.regress}
        return asks[verb](body)

    def close(self) -> None:
        """Ends the child process, and a request that is under way with it; a second time does nothing."""
        self._is_closed = True
        self._cool()

    def _cool(self) -> None:
        served = self._rest
        if served is not None:
            served.close()
        with self._lock:
            if self._rest is served:
                self._rest = None
                if self._folder is not None:
                    self._folder()

    def _served(self) -> Rest:
        with self._lock:
            if self._is_closed:
                raise RunError("the request was stopped, and the model's process has ended")
            if self._rest is None:
                self._rest = self._opened()
            served = self._rest
        self._count_in()
        return served

    def _opened(self) -> Rest:
        model = self.model
        if model.path is None:
            raise RunError("this model was made from data and lies in no folder, so it has no variables to run with")
        folder = model.path
        if model.edits:
            parent = tempfile.mkdtemp(prefix="savedmodel-explorer-draft-")
            self._folder = weakref.finalize(self, shutil.rmtree, parent, True)
            try:
                folder = make_draft_folder(model, Path(parent).resolve())
            except ExplorerError:
                self._folder()
                raise
        return rest(folder, consent=True, name=served_name(model), tags=self.tags)

    def _count_in(self) -> None:
        """Notes that this one was asked last, and closes the child of the one that was longest ago."""
        too_many: list[WarmModel] = []
        with WarmModel._warm_lock:
            others = [ref for ref in WarmModel._warm if (one := ref()) is not None and one is not self and one.is_warm]
            while len(others) >= _MOST_WARM:
                one = others.pop(0)()
                if one is not None:
                    too_many.append(one)
            WarmModel._warm = deque([*others, weakref.ref(self)])
        for one in too_many:
            one._cool()


def _link_files(source: Path, target: Path) -> None:
    """Gives a folder links to the files of another, in folders of its own: so a walk finds them with their sizes."""
    for file in list_files(source):
        if file.name in _LEFT_OUT:
            continue
        place = target / file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(source / file.name)
    for name in _FOLDERS:  # TensorFlow looks for some that may be empty
        if (source / name).is_dir():
            (target / name).mkdir(exist_ok=True)
