"""Every edit on every kind of sample model before every consumer: all of them see one model, with the same numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import consumers
import judges
import numpy as np
import pytest
from consumers import CONSUMERS, Answers, Loaded
from edit_cases import EDITS, Case, Refusal, every_edit, same_names
from edit_judge import Judge, Reference, Requests, Reset, requests_of

import explorer
from explorer import ExplorerError, SavedModel
from explorer.checking.checks import check, new_errors
from explorer.errors import ExportError
from explorer.savedmodel.model import MetaGraph

CLI, CPP, V1, V2, TFSM, AGAIN = CONSUMERS


@dataclass(frozen=True)
class Kind:
    """A meta graph of a sample model, and what can't be done with it.

    Attributes:
        name: Model and version.
        tags: The tag set.
        reset: Undoes what running a signature has changed.
        random: A pattern of the tensors that differ from run to run.
        handles: Variables that only ``tf.saved_model.load`` restores: node → checkpoint key.
        requests: Signature key → request, where expected.json has none.
        unloadable: Consumer → what it says of the source when it loads it.
        unrunnable: Consumer → signature key → what it says of the source when it runs it.
        refused: Edit → signature key → our sentence; the key "" means every signature, or the whole meta graph.
    """

    name: str
    tags: tuple[str, ...] = ("serve",)
    reset: Reset = lambda loaded: None
    random: str = r"(?!)"
    handles: Mapping[str, str] = field(default_factory=dict)
    requests: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    unloadable: Mapping[str, str] = field(default_factory=dict)
    unrunnable: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    refused: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name} {','.join(self.tags)}"


def count_from_0(loaded: Loaded) -> None:
    """Sets the counter of the model ``stateful`` back to where it is after loading."""
    for remapper in (True, False):
        calls = loaded.run("count", {"more": np.array(0)}, remapper)["calls"]
        loaded.run("count", {"more": -calls}, remapper)


ONE_DEFAULT = "a graph holds only one; another signature needs a placeholder of its own$"
NO_FUNCTION = "^no function of the object graph is the one behind the signature$"
DEPENDS = "can't go, because an output depends on it; bind_input fixes it to a value instead$"
NEEDS_PLACEHOLDER = "needs the placeholder '.*', which no input feeds"
NO_PLACEHOLDER = "only a placeholder can be given a value of its own$"
NOTHING_BETWEEN = "^the signature computes nothing in between$|^there is no tensor that an (in|out)put could become$"
ONE_SHAPE = "^every input has one shape$"
SPARSE = "is a coo_sparse tensor"

# What every kind of model refuses of the edits of a meta graph.
NO_OBJECTS = {"": "^this model has no object graph, so it offers no functions; add_signature makes one over tensors$"}
RESTORED = {"": "^every variable that the functions take is restored already$"}
TF1 = {
    "add_signature_from_function": NO_OBJECTS,
    "repair_captures": RESTORED,
    "repair_two_truths": {"": "^the object graph has no signatures to bring into agreement with signature_def$"},
}
ALONE = {"remove_meta_graph": {"": "^the last meta graph can't be removed"}}
TF2 = ALONE | {
    "strip_default_attrs": {"": "^no attribute in this graph has the default value of its op$"},
    "repair_captures": RESTORED,
    "repair_two_truths": {"": "^signature_def and the object graph agree already$"},
    "copy_meta_graph": {"": "^the meta graph can't be copied: this model has an object graph"},
}

UNFED = "needs an input for each placeholder"
FED_TWICE = 'Endpoint "vocabulary_file:0" fed more than once'
NO_TAGS = "requires a `tags=` argument if there is more than one MetaGraph"
NOT_SAVED_AGAIN = "Binding inputs to tf.function failed due to `Can not cast TensorSpec.*features_indices"
UNINITIALIZED = "Attempting to use uninitialized value"
UNREGISTERED = "Op type not registered 'ExampleCustomOp'"
UNRESTORED = "Could not find variable"

KINDS = [
    Kind(
        "as_printed/1",
        requests={"prediction": {"input": [[1.0, 2.0, 3.0]]}},
        unloadable=dict.fromkeys((V2, TFSM, AGAIN), UNFED),
        unrunnable=dict.fromkeys((CLI, CPP, V1), {"prediction": "[Yy]ou must feed a value for placeholder"}),
        refused=TF1
        | ALONE
        | dict.fromkeys(
            ("remove_output", "add_output", "set_output_tensor", "set_input_tensor"), {"": NOTHING_BETWEEN}
        ),
    ),
    Kind("captures/1", refused=TF2 | {"remove_input": {"": DEPENDS}}),
    Kind("control_flow/1", refused=TF2 | {"remove_input": {"encode": DEPENDS}}),
    Kind(
        "custom_op/1",
        requests={"scale": {"x": [1.0, 2.0]}, "serving_default": {"x": [1.0, 2.0]}},
        unloadable=dict.fromkeys((CPP, V1, V2, TFSM, AGAIN), UNREGISTERED),
        unrunnable={CLI: dict.fromkeys(("scale", "serving_default"), UNREGISTERED)},
        refused=TF2 | {"remove_input": {"": DEPENDS}},
    ),
    Kind("debug_and_unknown/1", refused=TF2 | {"remove_input": {"": DEPENDS}}),
    Kind("defaults/1", refused=TF2),
    Kind(
        "estimator_like/1",
        refused=TF1
        | ALONE
        | {
            "remove_input": {"": DEPENDS},
            "set_input_shape": dict.fromkeys(("predict", "regression", "serving_default"), ONE_DEFAULT),
        },
    ),
    *(
        Kind(
            f"half_plus_two/{version}",
            refused=TF1
            | ALONE
            | {
                "remove_input": {"": DEPENDS},
                "bind_input": {"serving_default": NO_PLACEHOLDER},
                "set_input_shape": {"regress_x": ONE_DEFAULT, "serving_default": NO_PLACEHOLDER},
            },
        )
        for version in ("00000123", "00000124")
    ),
    Kind("image_bytes/1", refused=TF2 | {"remove_input": {"": DEPENDS}}),
    Kind("keras2/1", refused=TF2 | {"remove_input": {"": DEPENDS}}),
    Kind("keras3/1", refused=TF2),
    Kind(
        "keras3_saved/1",
        handles={
            "hidden/kernel": "_operations/1/_kernel/.ATTRIBUTES/VARIABLE_VALUE",
            "hidden/bias": "_operations/1/bias/.ATTRIBUTES/VARIABLE_VALUE",
            "score/kernel": "_operations/2/_kernel/.ATTRIBUTES/VARIABLE_VALUE",
            "score/bias": "_operations/2/bias/.ATTRIBUTES/VARIABLE_VALUE",
        },
        unrunnable=dict.fromkeys((CLI, CPP, V1), dict.fromkeys(("rank", "serving_default"), UNRESTORED)),
        refused={edit: known for edit, known in TF2.items() if edit != "repair_captures"}
        | {
            "add_signature_from_function": {"": NO_FUNCTION},
            "remove_input": {"": DEPENDS},
        },
    ),
    Kind(
        "linear/1",
        unrunnable={AGAIN: {"prediction": UNINITIALIZED}},
        refused=TF1 | ALONE | {"remove_input": {"": DEPENDS}},
    ),
    Kind("module/1", refused=TF2 | {"remove_input": {"serving_default": DEPENDS}}),
    Kind("no_variables/1", refused=TF2 | {"remove_input": {"negate": DEPENDS}}),
    Kind(
        "partitioned/1",
        refused=TF1
        | ALONE
        | {
            "remove_input": {"": DEPENDS},
            "set_input_shape": {"serving_default": ONE_DEFAULT},
        },
    ),
    Kind("ragged/1", refused=TF2),
    Kind("several_meta_graphs/1", ("train",), unloadable={TFSM: NO_TAGS}, refused=TF1),
    *(
        Kind(
            "several_meta_graphs/1",
            tags,
            unloadable={TFSM: NO_TAGS},
            refused=TF1 | {"set_input_tensor": {"": NEEDS_PLACEHOLDER}, "remove_input": {"": DEPENDS}},
        )
        for tags in (("serve",), ("gpu", "serve"))
    ),
    Kind(
        "shapes_and_types/1",
        unloadable={AGAIN: NOT_SAVED_AGAIN},
        unrunnable={CLI: {"sparse": "is not a valid input key"}},
        refused=TF1
        | ALONE
        | {
            "clear_devices": {"": "^no node of this graph is placed on a device$"},
            "add_output": dict.fromkeys(("scalar", "serving_default"), NOTHING_BETWEEN),
            "remove_output": {"scalar": NOTHING_BETWEEN},
            "set_output_tensor": dict.fromkeys(("scalar", "serving_default"), NOTHING_BETWEEN),
            "set_input_tensor": {"any_rank": NEEDS_PLACEHOLDER, "dtypes": NEEDS_PLACEHOLDER, "": NOTHING_BETWEEN},
            "add_signature": {"sparse": "^add_signature knows plain tensors only$"},
            "remove_input": {"": DEPENDS},
            "bind_input": {"sparse": SPARSE},
            "set_input_shape": {"sparse": SPARSE, "scalar": ONE_SHAPE},
            "set_default": {"sparse": SPARSE},
            "remove_default": {"sparse": SPARSE},
        },
    ),
    Kind(
        "stateful/1",
        reset=count_from_0,
        random="random_uniform|/add:",
        refused=TF2 | {"remove_input": {"": DEPENDS}, "set_input_shape": {"count": ONE_SHAPE}},
    ),
    Kind("text_format/1", refused=TF1 | ALONE | {"remove_input": {"": DEPENDS}}),
    Kind(
        "tf1_ref_variables/1",
        unrunnable={AGAIN: dict.fromkeys(("serving_default", "layer.sum"), UNINITIALIZED)},
        refused=TF1 | ALONE | {"remove_input": {"": DEPENDS}, "set_input_shape": {"serving_default": ONE_DEFAULT}},
    ),
    Kind(
        "tf1_sparse/1",
        unloadable={AGAIN: NOT_SAVED_AGAIN},
        unrunnable={CLI: {"serving_default": "is not a valid input key"}},
        refused=TF1
        | ALONE
        | {
            "add_signature": {"serving_default": "^add_signature knows plain tensors only$"},
            "remove_input": {"serving_default": DEPENDS},
            "set_input_shape": {"serving_default": SPARSE},
        },
    ),
    Kind("tf1_tables/1", unloadable={CPP: FED_TWICE}, refused=TF1 | ALONE | {"remove_input": {"": DEPENDS}}),
    Kind("tf_example/1", refused=TF2 | {"remove_input": {"": DEPENDS}}),
    Kind(
        "training_trace/1", refused=TF2 | {"remove_input": {"": DEPENDS}, "set_input_shape": {"predict_one": ONE_SHAPE}}
    ),
]


@dataclass(frozen=True)
class Bench:
    """A kind with what its judges need.

    Attributes:
        kind: The kind.
        folder: The source's folder.
        model: The source.
        requests: What to ask it.
        reference: What it answers.
    """

    kind: Kind
    folder: Path
    model: SavedModel
    requests: Requests
    reference: Reference

    def problems(
        self, folder: Path, edited: SavedModel, cases: list[Case], tags: tuple[str, ...] = (), only: str = ""
    ) -> list[str]:
        """Lets every consumer judge an export.

        Args:
            folder: The export.
            edited: The edited model, as it is in memory.
            cases: What it must be.
            tags: The tag set of the meta graph to judge, where it is another than that of the source.
            only: A consumer that knows no tags, and so can't judge; the others do.
        """
        tags, found = tags or self.kind.tags, list[str]()
        for name in CONSUMERS:
            if name == only:
                continue
            unrunnable = self.kind.unrunnable.get(name, {})
            judge = Judge(
                name, (self.folder, list(self.kind.tags)), (folder, list(tags)), self.reference,
                reset=self.kind.reset, unloadable=self.kind.unloadable.get(name), unrunnable=unrunnable,
            )  # fmt: skip
            judge.judge(cases, self.requests, edited.meta_graph(tags))
            found += judge.problems
            if name not in self.kind.unloadable:
                could = [case for case in cases if case.source_key not in unrunnable]
                every = {case.edit for case in could} if name == CLI else {case.key for case in could}
                judged = judge.judged_edits if name == CLI else judge.judged
                found += [f"{name} has judged nothing of {each!r}" for each in sorted(every - judged)]
        return found + wrong_protos(folder, tags, self.model.meta_graph(self.kind.tags), cases)


def wrong_protos(folder: Path, tags: tuple[str, ...], source: MetaGraph, cases: list[Case]) -> list[str]:
    """Method names and default values, as TensorFlow reads them, that are not what the edits gave."""
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2

    def values(protos: Any) -> dict[str, Any]:
        return {key: np.asarray(tf.make_ndarray(proto)).tolist() for key, proto in protos.items()}

    (signatures,) = (
        meta_graph.signature_def
        for meta_graph in consumers.proto_of(folder).meta_graphs
        if set(meta_graph.meta_info_def.tags) == set(tags)
    )
    found = []
    for case in (case for case in cases if not case.is_absent):
        before, after = source.signatures[case.source_key], signatures[case.key]
        if after.method_name != (case.method_name or before.method_name):
            found.append(f"{case.edit} of {case.source_key!r}: the method name is {after.method_name!r}")
        kept = values({key: tensor_pb2.TensorProto.FromString(data) for key, data in before.defaults.items()})
        wanted = {name: kept[old] for name, old in case.inputs.items() if isinstance(old, str) and old in kept}
        if case.defaults is not None:
            wanted = {key: value.tolist() for key, value in case.defaults.items()}
        if values(after.defaults) != wanted:
            found.append(
                f"{case.edit} of {case.source_key!r}: the default values are {values(after.defaults)}, not {wanted}"
            )
    return found


@pytest.fixture
def bench(kind: Kind, sample_models: Path, expected_answers: Any) -> Bench:
    """The kind, ready to be judged."""
    import tf_keras  # noqa: F401  with it tf.saved_model.load opens models of Keras 2 that have optimizer slots

    folder = sample_models / kind.name
    model = explorer.open_saved_model(folder)
    name, version = kind.name.split("/")
    recorded = [
        (case["signature_key"], case["inputs"])
        for case in expected_answers[name][version]
        if set(case["tags"]) == set(kind.tags)
    ]
    requests = requests_of(model.meta_graph(kind.tags), [*recorded, *kind.requests.items()])
    assert all(requests.values()), "a signature has no request"
    return Bench(kind, folder, model, requests, Reference(folder, list(kind.tags), kind.reset, kind.handles))


def wrong_refusals(kind: Kind, refusals: list[Refusal], edits: Collection[str]) -> list[str]:
    """Refusals that the table doesn't know, and those of the table that were none."""
    found, met = [], set()
    for refusal in refusals:
        known = kind.refused.get(refusal.edit, {})
        key = refusal.source_key if refusal.source_key in known else ""
        met.add((refusal.edit, key))
        if not re.search(known.get(key, r"(?!)"), refusal.sentence):
            found.append(f"{refusal.edit} of {refusal.source_key!r} is refused: {refusal.sentence}")
        if "\n" in refusal.sentence or "Traceback" in refusal.sentence:
            found.append(f"{refusal.edit} of {refusal.source_key!r}: this is no sentence: {refusal.sentence}")
    table = {(edit, key) for edit, known in kind.refused.items() if edit in edits for key in known}
    return found + [f"{edit} of {key!r} was expected to be refused" for edit, key in sorted(table - met)]


class CliProcesses:
    """``saved_model_cli run`` as real processes, one after the other, while other consumers judge in this one."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1)
        self.problems: dict[str, Future[list[str]]] = {}

    def start(self, bench: Bench, folder: Path, case: Case, request: Answers) -> None:
        """Runs a case when the processes before have ended."""
        answers = bench.reference.answers(case.source_key, request)
        wanted = {name: answers[old] for name, old in case.outputs.items()}
        inputs = {name: request[str(old)].tolist() for name, old in case.inputs.items()}
        expressions = ";".join(f"{name}={value!r}" for name, value in inputs.items())
        arguments = [
            "--dir", str(folder), "--tag_set", ",".join(bench.kind.tags), "--signature_def", case.key,
            "--input_exprs", expressions,
        ]  # fmt: skip
        self.problems[str(bench.kind)] = self._executor.submit(self._run, arguments, wanted)

    def _run(self, arguments: list[str], wanted: Mapping[str, np.ndarray]) -> list[str]:
        printed = judges.saved_model_cli("run", *arguments)
        lines = (f"Result for output key {name}:\n{_printed(value)}" for name, value in wanted.items())
        return [f"{line!r} is not in what is printed: {printed}" for line in lines if line not in printed]

    def close(self) -> None:
        """Waits for the last."""
        self._executor.shutdown()


@pytest.fixture(scope="module")
def cli_processes() -> Iterator[CliProcesses]:
    """The processes of this module."""
    processes = CliProcesses()
    yield processes
    processes.close()


def _printed(value: np.ndarray) -> str:
    return str(value.item()) if value.dtype == object and not value.shape else str(value)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_consumer_agrees_about_every_edit_of_a_signature(
    kind: Kind, bench: Bench, tmp_path: Path, cli_processes: CliProcesses
) -> None:
    """Each edit gives what it says, to the bit where no function body changes; what can't be done is refused."""
    meta_graph = bench.model.meta_graph(kind.tags)
    first = {key: every[0] for key, every in bench.requests.items()}
    problems, refusals, done = list[str](), list[Refusal](), set[tuple[str, str]]()
    # A TensorFlow 1 graph takes one value for a placeholder, bound or restricted, so these go into two exports.
    together = [set(EDITS)] if meta_graph.has_object_graph else [set(EDITS) - {"set_input_shape"}, {"set_input_shape"}]
    for number, names in enumerate(together):
        batch = every_edit(
            bench.model, meta_graph.tags, first, lambda name: re.search(kind.random, name) is not None, names
        )
        refusals += batch.refusals
        done |= {(case.edit, case.source_key) for case in batch.cases}
        if not batch.cases:
            continue
        folder = explorer.export(batch.model, tmp_path / f"edited_{number}")
        for case in batch.cases:
            if case.edit == "rename_output" and case.source_key not in kind.unrunnable.get(CLI, {}):
                cli_processes.start(bench, folder, case, first[case.source_key])
                break
        problems += bench.problems(folder, batch.model, batch.cases)
    problems += wrong_refusals(kind, refusals, EDITS)
    done |= {(refusal.edit, refusal.source_key) for refusal in refusals}
    assert done == {(edit, key) for edit in EDITS for key in meta_graph.callable_signatures}
    for number, refusal in enumerate(refusal for refusal in refusals if refusal.model is not None):
        with pytest.raises(ExportError, match=re.escape(refusal.sentence)):
            explorer.export(refusal.model, tmp_path / f"refused_{number}")
        assert not list((tmp_path / f"refused_{number}").glob("*"))
    assert not problems, f"{len(problems)} problems:\n" + "\n".join(problems)


def test_saved_model_cli_as_a_process_prints_the_same(cli_processes: CliProcesses) -> None:
    """The tool as users start it, once for each kind that the tests before have exported and that it can run."""
    assert cli_processes.problems
    problems = [f"{kind}: {line}" for kind, found in cli_processes.problems.items() for line in found.result()]
    assert not problems, "\n".join(problems)


GRAPH_EDITS: dict[str, Callable[[SavedModel, frozenset[str]], SavedModel]] = {
    "clear_devices": lambda model, tags: explorer.clear_devices(model, tags=tags),
    "strip_default_attrs": lambda model, tags: explorer.strip_default_attrs(model, tags=tags),
    "repair_captures": lambda model, tags: explorer.repair_captures(model, tags=tags),
    "repair_two_truths": lambda model, tags: explorer.repair_two_truths(model, tags=tags),
    "copy_meta_graph": lambda model, tags: explorer.copy_meta_graph(model, ["copied"], tags=tags),
    "remove_meta_graph": lambda model, tags: explorer.remove_meta_graph(model, tags=tags),
    "set_tags": lambda model, tags: explorer.set_tags(model, ["edited", "graph"], tags=tags),
}


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_consumer_agrees_about_every_edit_of_a_meta_graph(kind: Kind, bench: Bench, tmp_path: Path) -> None:
    """Edits of a whole graph change no answer by a bit; those that can't be done are refused."""
    source, problems = bench.model, list[str]()
    refusals, changed, tags = list[Refusal](), source, frozenset(kind.tags)
    copied = None
    for edit, change in GRAPH_EDITS.items():
        try:
            edited = change(changed, tags)
            if errors := new_errors(check(source), check(edited)):
                raise ExplorerError(errors[0].message)
        except ExplorerError as error:
            refusals.append(Refusal(edit, "", str(error)))
            continue
        if edit == "copy_meta_graph":
            copied = edited
        elif edit != "remove_meta_graph":
            changed = edited
    problems += wrong_refusals(kind, refusals, GRAPH_EDITS)
    # The one export has all of them but the copy; as in the other matrix, a failure names the signature.
    signatures = source.meta_graph(kind.tags).callable_signatures.values()
    cases = [
        Case("edits of the graph", each.key, each.key, same_names(each.inputs), same_names(each.outputs))
        for each in signatures
    ]
    folder = explorer.export(changed, tmp_path / "edited")
    problems += bench.problems(folder, changed, cases, ("edited", "graph"))
    if copied is not None:
        folder = explorer.export(copied, tmp_path / "copied")
        without_tags = TFSM if len(source.meta_graphs) == 1 else ""
        problems += bench.problems(folder, copied, cases, ("copied",), without_tags)
        alone = copied
        for meta_graph in source.meta_graphs:
            alone = explorer.remove_meta_graph(alone, tags=meta_graph.tags)
        folder = explorer.export(alone, tmp_path / "alone")
        problems += bench.problems(folder, alone, cases, ("copied",), without_tags and "" or TFSM)
    assert not problems, f"{len(problems)} problems:\n" + "\n".join(problems)
