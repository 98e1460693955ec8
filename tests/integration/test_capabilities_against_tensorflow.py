"""The table of what ops can reach against TensorFlow's own list of ops, and against what other scanners find."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.core.framework import op_def_pb2
from tensorflow.python.client import pywrap_tf_session as c_api
from tensorflow.python.framework import meta_graph as meta_graph_lib
from tensorflow.python.saved_model import loader_impl
from tensorflow.python.tools import saved_model_cli

from explorer.checking.capabilities import Capability, dangers, scan
from explorer.checking.capability_ops import carries_functions, kind_table, kinds_of
from explorer.checking.capability_rules import check_capabilities
from explorer.savedmodel.opening import open_saved_model

SOUNDS_RISKY = re.compile(
    r"File|^Read|Reader|Write|Save|Restore|Py[A-Z]|Rpc|Record|Snapshot|Remote|Collective|Send|Recv|Nccl|Sql|CSVDataset|"
    r"LMDB|CacheDataset|PrintV2|DataService|Dump|Checkpoint|Mlir|XlaC(all|ustom)|SummaryWriter|Infeed|Outfeed|TPU|Abort"
)
"""Names that say that an op reaches out of the graph."""

ONLY_SOUNDS_SO = {
    "ReadVariableOp": "a variable in memory",
    "ReadVariableXlaSplitND": "a variable in memory",
    "TensorArrayWrite": "an array in memory",
    "TensorArrayWriteV2": "an array in memory",
    "TensorArrayWriteV3": "an array in memory",
    "Snapshot": "copies a tensor",
    "ConcatenateDataset": "joins two datasets",
}

MODELSCAN_OPS = {"ReadFile", "WriteFile"}
"""``unsafe_tf_operators`` of https://github.com/protectai/modelscan."""


@pytest.fixture(scope="module")
def registered() -> dict[str, Any]:
    """The definition of every op of the installed TensorFlow."""
    ops = op_def_pb2.OpList.FromString(c_api.TF_GetBuffer(c_api.TF_GetAllOpList()))
    return {op.name: op for op in ops.op}


def test_every_registered_op_was_looked_at(registered: dict[str, Any]) -> None:
    """No op of the installed TensorFlow is unknown, but one that runs a graph which is a value."""
    assert len(registered) > 1800
    assert [name for name in registered if kinds_of(name) == ("unknown",)] == ["DatasetFromGraph"]


def test_ops_whose_names_say_so_are_flagged(registered: dict[str, Any]) -> None:
    """What is called after files, the network or Python stands under a heading, or on a short list with the reason."""
    risky = [name for name in registered if SOUNDS_RISKY.search(name)]
    assert len(risky) >= 101
    unflagged = {name for name in risky if not kinds_of(name)}
    assert unflagged == {name for name in ONLY_SOUNDS_SO if SOUNDS_RISKY.search(name) and name in registered}


def test_ops_that_name_functions_are_followed(registered: dict[str, Any]) -> None:
    """Which ops take functions is read out of our copy of their definitions as TensorFlow says it."""
    for name, op in registered.items():
        takes = any(attr.type in ("func", "list(func)") for attr in op.attr)
        assert carries_functions(name) == takes, name


def test_ops_that_are_told_a_file_or_an_address_are_flagged(registered: dict[str, Any]) -> None:
    """Whatever it is called, an op with a text that names a file, a folder or an address stands under a heading."""
    names = re.compile(r"file|path|(^|_)dir(ectory)?$|address|url|prefix|host|server|uri|ckpt|checkpoint")
    only_a_name = {"SetStatsAggregatorDataset", "ExperimentalSetStatsAggregatorDataset"}  # the prefix of a counter
    told = set()
    for name, op in registered.items():
        texts = [attr.name for attr in op.attr if attr.type in ("string", "list(string)")]
        texts += [arg.name for arg in op.input_arg if arg.type == tf.string.as_datatype_enum]
        if any(names.search(text.lower()) for text in texts):
            told.add(name)
    assert len(told) > 50
    assert told - set(kind_table()) == only_a_name


class Risky(tf.Module):
    """Files, Python and a log, at the top of a function, in a branch, in a loop and in a dataset."""

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def reads(self, path: Any) -> Any:
        """Reads a file."""
        return tf.io.read_file(path)

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def reads_in_a_branch(self, path: Any) -> Any:
        """Reads a file where the path isn't empty."""
        return tf.cond(tf.equal(path, ""), lambda: path, lambda: tf.io.read_file(path))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def reads_many(self, paths: Any) -> Any:
        """Reads a file for each element."""
        return tf.map_fn(tf.io.read_file, paths)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def reads_in_a_dataset(self, paths: Any) -> Any:
        """Reads files in the function of a dataset."""
        dataset = tf.data.Dataset.from_tensor_slices(paths).map(tf.io.read_file)
        return dataset.reduce(tf.constant(""), lambda text, more: text + more)

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def writes(self, text: Any) -> Any:
        """Writes a file and a line of a log."""
        tf.print(text)
        tf.io.write_file("/tmp/capabilities-of-a-model", text)
        return text

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def calls_python(self, text: Any) -> Any:
        """Calls back."""
        return tf.py_function(lambda value: value, [text], tf.string)


@pytest.fixture(scope="module")
def risky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that TensorFlow saved, which reaches out in every way."""
    path = tmp_path_factory.mktemp("risky")
    module = Risky()
    signatures = {name: getattr(module, name) for name in ("reads", "reads_in_a_branch", "reads_many", "writes")}
    tf.saved_model.save(module, str(path), signatures)
    return path


def found_by(capabilities: tuple[Capability, ...], op: str) -> list[Capability]:
    """The capabilities of one op."""
    return [found for found in capabilities if found.op == op]


def test_what_tensorflow_saved_is_found_and_placed(risky: Path) -> None:
    """Each of the calls is found where TensorFlow put it, with the signature or method that runs it."""
    found = scan(risky)
    reads = found_by(found, "ReadFile")
    assert {each.reached for each in reads} >= {"call", "branch", "loop", "dataset"}
    assert {key for each in reads for key in each.signatures} == {"reads", "reads_in_a_branch", "reads_many"}
    assert any("reads_in_a_dataset" in each.methods for each in reads)
    (write,) = found_by(found, "WriteFile")
    assert (write.when, write.signatures, write.target) == ("call", ("writes",), "/tmp/capabilities-of-a-model")
    assert {each.kind for each in found_by(found, "EagerPyFunc")} == {"python"}
    assert not [each for each in found if each.op in ("RestoreV2", "SaveV2", "MergeV2Checkpoints")]
    codes = {finding.code for finding in check_capabilities(open_saved_model(risky))}
    assert codes == {"reaches_read_file", "reaches_write_file", "reaches_python"}


def test_findings_of_other_scanners_are_among_ours(
    risky: Path, sample_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What ``saved_model_cli scan`` and modelscan report of a model, we report too."""
    tried = 0
    paths = [risky, *sorted(path.parent for path in sample_models.glob("*/*/saved_model.pb*"))]
    for path in paths:
        if "broken" in path.parts:
            continue
        ours = {each.op for each in scan(path)}
        for meta_graph in loader_impl.parse_saved_model(str(path)).meta_graphs:
            theirs = set(meta_graph_lib.ops_used_by_graph_def(meta_graph.graph_def))
            every = {node.op for node in meta_graph.graph_def.node}
            every |= {node.op for function in meta_graph.graph_def.library.function for node in function.node_def}
            assert theirs & saved_model_cli._OP_DENYLIST <= ours
            assert every & MODELSCAN_OPS <= ours
            saved_model_cli.scan_meta_graph_def(meta_graph, saved_model_cli._OP_DENYLIST)
            assert ("contains the following" in capsys.readouterr().out) <= bool(ours)
        tried += 1
    assert tried > 20
    assert {"ReadFile", "WriteFile", "PrintV2"} <= {each.op for each in scan(risky)}


def test_table_that_loading_fills_is_the_models_own(tmp_path: Path) -> None:
    """A vocabulary in ``assets/`` is read on load and not counted; one that is read by its path in a call is."""
    words = tmp_path / "words.txt"
    words.write_text("a\nb\n")

    class Looks(tf.Module):
        """Looks words up."""

        def __init__(self) -> None:
            super().__init__()
            start = tf.lookup.TextFileInitializer(
                str(words), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
            )
            self.table = tf.lookup.StaticHashTable(start, -1)
            self.weight = tf.Variable(1.0)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def look_up(self, words: Any) -> Any:
            """The numbers of words."""
            return self.table.lookup(words)

    tf.saved_model.save(Looks(), str(tmp_path / "model"))
    every = scan(tmp_path / "model", own=True)
    assert dangers(every) == ()
    (table,) = found_by(every, "InitializeTableFromTextFileV2")
    assert (table.when, table.own) == ("load", True)
    assert {each.when for each in found_by(every, "RestoreV2")} == {"load"}
