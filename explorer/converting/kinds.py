"""What may lie at a path that somebody wants to convert, by name, and what is known about it before anything runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from explorer.savedmodel.checkpoint_index import Variable

FROZEN_GRAPH: Final = "frozen_graph"
"""A GraphDef in binary form whose weights are constants."""
FROZEN_GRAPH_TEXT: Final = "frozen_graph_text"
"""The same as text (``.pbtxt``)."""
VARIABLE_GRAPH: Final = "variable_graph"
"""A GraphDef, binary or text, with variables: their values lie in a checkpoint."""
TF1_CHECKPOINT: Final = "tf1_checkpoint"
"""A checkpoint (``.index`` and ``.data-…``) with its ``.meta``."""
TF1_CHECKPOINT_NO_GRAPH: Final = "tf1_checkpoint_no_graph"
"""A checkpoint of named variables without a ``.meta``."""
V1_CHECKPOINT: Final = "v1_checkpoint"
"""A checkpoint in the format of before TensorFlow 0.12 (one file, or ``-00000-of-00002``), with its ``.meta``."""
V1_CHECKPOINT_NO_GRAPH: Final = "v1_checkpoint_no_graph"
"""The same without a ``.meta``."""
TF2_CHECKPOINT: Final = "tf2_checkpoint"
"""A checkpoint of ``tf.train.Checkpoint``: variables under the paths of Python objects."""
KERAS_FILE: Final = "keras_file"
"""A ``.keras`` file that Keras 3 wrote."""
KERAS_FILE_TF_KERAS: Final = "keras_file_tf_keras"
"""A ``.keras`` file that Keras 2 (today ``tf_keras``) wrote."""
HDF5: Final = "hdf5"
"""An HDF5 file: a whole Keras model or only weights."""
SAVED_MODEL: Final = "saved_model"
"""A SavedModel already."""
META_GRAPH: Final = "meta_graph"
"""A MetaGraphDef (``.meta``) without the checkpoint that belongs to it."""
SEVERAL: Final = "several"
"""A folder in which several things could be meant."""
NOTHING: Final = "nothing"
"""A folder in which nothing is that could be converted."""

CONVERTIBLE: Final = frozenset(
    {FROZEN_GRAPH, FROZEN_GRAPH_TEXT, VARIABLE_GRAPH, TF1_CHECKPOINT, TF1_CHECKPOINT_NO_GRAPH, V1_CHECKPOINT}
    | {V1_CHECKPOINT_NO_GRAPH, TF2_CHECKPOINT, KERAS_FILE, KERAS_FILE_TF_KERAS, HDF5, SAVED_MODEL}
)
"""Kinds that can become a SavedModel, some of them only with what ``Source.needs`` names.

Every other kind is a word of :func:`explorer.savedmodel.identify.identify`, or one of the last three above.
"""

CHECKPOINTS: Final = frozenset(
    {TF1_CHECKPOINT, TF1_CHECKPOINT_NO_GRAPH, V1_CHECKPOINT, V1_CHECKPOINT_NO_GRAPH, TF2_CHECKPOINT}
)
"""Kinds of which ``Source.path`` is the prefix of a checkpoint and ``Source.variables`` what it holds."""

GRAPH: Final = "graph"
ARCHITECTURE: Final = "architecture"
MODEL: Final = "model"
SIGNATURE: Final = "signature"
CONSTANTS: Final = "constants"
CHECKPOINT: Final = "checkpoint"


@dataclass(frozen=True, slots=True)
class Need:
    """Something that must be given besides the source.

    Attributes:
        what: ``"graph"`` (a GraphDef or ``.meta``), ``"architecture"`` (a model of the same architecture), ``"model"``
            (the user's own model object), ``"signature"`` (which tensors go in and come out), ``"constants"`` (values
            for placeholders of the training) or ``"checkpoint"`` (the values of variables).
        sentence: What it is and why, in one sentence. Several needs that name one another with "or" are alternatives.
    """

    what: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Source:
    """What a path is, told without running anything.

    Attributes:
        path: A file, the prefix of a checkpoint, or a folder; absolute.
        kind: One of the words of this module, or of :func:`explorer.savedmodel.identify.identify`.
        title: The rest of a sentence that begins with the path: ``is a frozen graph (GraphDef) with 312 nodes``.
        files: The files that belong to it and are there.
        facts: Rows for a table: label and value. A value may hold names from the file; it is printable.
        needs: What must be given besides.
        variables: What a checkpoint holds; empty for other kinds.
        runs_code: Whether converting it runs a framework in a child process.
        problem: One sentence where it can't be converted as it is; else empty.
        graph_file: The GraphDef or the ``.meta`` that belongs to it; None where there is none.
    """

    path: Path
    kind: str
    title: str
    files: tuple[Path, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    needs: tuple[Need, ...] = ()
    variables: tuple[Variable, ...] = ()
    runs_code: bool = False
    problem: str = ""
    graph_file: Path | None = None

    @property
    def can_be_converted(self) -> bool:
        """Whether nothing stands in the way but what ``needs`` names."""
        return self.kind in CONVERTIBLE and not self.problem
