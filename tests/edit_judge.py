"""Whether a consumer agrees about an edited model: the same signatures, and the same answers as of the source."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import consumers
import edit_cases
import numpy as np
from consumers import CONSUMERS, Answers, Loaded

from explorer.savedmodel.model import MetaGraph, Shape, Signature
from explorer.savedmodel.tensors import NUMPY_NAMES

SEED = 2021
CLOSE = 1e-5
"""How far answers may be apart where grappler fuses other ops than before, as a part of their range."""

Reset = Callable[[Loaded], None]

Requests = Mapping[str, list[Answers]]
"""Signature key → requests, by the names that ``tf.saved_model.load`` has for inputs."""


def requests_of(meta_graph: MetaGraph, recorded: list[tuple[str, Mapping[str, Any]]]) -> dict[str, list[Answers]]:
    """The recorded requests of each signature, and the first once more with other numbers in it.

    Args:
        meta_graph: The meta graph.
        recorded: Signature key and inputs, as ``expected.json`` has them.
    """
    found: dict[str, list[Answers]] = {key: [] for key in meta_graph.callable_signatures}
    for key, inputs in recorded:
        signature = meta_graph.signatures[key]
        if set(inputs) == set(signature.inputs):  # others leave out what only TensorFlow Serving fills in
            found[key].append(_flat(signature, inputs))
    random = np.random.default_rng(SEED)
    for every in found.values():
        every += [{name: _other_numbers(value, random) for name, value in request.items()} for request in every[:1]]
    return found


def _flat(signature: Signature, inputs: Mapping[str, Any]) -> Answers:
    flat: dict[str, np.ndarray] = {}
    for key, value in inputs.items():
        dtype = NUMPY_NAMES.get(signature.inputs[key].dtype.base.number, "object")
        if isinstance(value, dict) and "dense_shape" in value:
            flat[f"{key}_indices"] = np.array(value["indices"], "int64")
            flat[f"{key}_values"] = np.array(_from_json(value["values"]), dtype)
            flat[f"{key}_dense_shape"] = np.array(value["dense_shape"], "int64")
        else:
            flat[key] = np.array(_from_json(value), dtype)
    return flat


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        return base64.b64decode(value["b64"])
    if isinstance(value, list):
        return [_from_json(item) for item in value]
    return value.encode() if isinstance(value, str) else value


def _other_numbers(value: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Other numbers where any number will do; positions and texts stay."""
    if value.dtype.kind != "f":
        return value
    return np.asarray(random.normal(size=value.shape) * 3).astype(value.dtype)


def words(error: Exception) -> str:
    """What an exception says, in a line and without the frames that TensorFlow puts into it."""
    lines = [line.strip() for line in str(error).splitlines() if not line.strip().startswith("File ")]
    return f"{type(error).__name__}: {' '.join(lines)[:1000]}"


def difference(value: np.ndarray, wanted: np.ndarray, bits: bool) -> str:
    """How an answer differs from what is wanted, to the bit or nearly; an empty text where it doesn't."""
    if value.dtype != wanted.dtype or value.shape != wanted.shape:
        return f"is {value.dtype}{value.shape}, not {wanted.dtype}{wanted.shape}"
    if value.dtype == object:
        return "" if value.tolist() == wanted.tolist() else f"is {value.tolist()}, not {wanted.tolist()}"
    if value.tobytes() == wanted.tobytes():
        return ""
    if bits or value.dtype.kind not in "fc":
        return f"is {value.tolist()}, not bit for bit {wanted.tolist()}"
    spread = float(np.ptp(wanted)) or float(np.max(np.abs(wanted), initial=0)) or 1.0
    furthest = float(np.max(np.abs(value - wanted), initial=0))
    return "" if furthest <= CLOSE * spread else f"is {furthest / spread} of its range away from {wanted.tolist()}"


class Reference:
    """What the source answers, and what its inner tensors are, worked out by ``tf.compat.v1``; each asked once.

    Args:
        folder: The source.
        tags: Its tag set.
        reset: Undoes what running a signature has changed.
        handles: Variables that only ``tf.saved_model.load`` restores: the node → the checkpoint key.
    """

    def __init__(self, folder: Path, tags: list[str], reset: Reset, handles: Mapping[str, str]) -> None:
        self._folder, self._tags, self._reset, self._handles = folder, tags, reset, handles
        self._loaded: consumers.V1 | None = None
        self._known: dict[Any, Any] = {}

    def answers(self, key: str, request: Answers) -> Any:
        """What a signature answers; or what TensorFlow says."""
        return self._once(("answers", key, _hashable(request)), lambda loaded: loaded.run(key, request, False))

    def inner(self, key: str, request: Answers, inner: edit_cases.Inner) -> np.ndarray:
        """The value of a tensor."""
        known = ("inner", key, _hashable(request), inner)
        value = self._once(known, lambda loaded: loaded.inner_value(key, request, inner.path, inner.tensor))
        assert not isinstance(value, str), f"{inner.name}: {value}"
        found: np.ndarray = value
        return found

    def _once(self, known: Any, ask: Any) -> Any:
        if known not in self._known:
            try:
                if self._loaded is None:
                    self._loaded = consumers.V1(self._folder, self._tags)
                    self._loaded.assign(self._handles)
                self._known[known] = ask(self._loaded)
                self._reset(self._loaded)
            except Exception as error:
                self._known[known] = words(error)
        return self._known[known]


def _hashable(request: Answers) -> Any:
    return tuple((name, value.shape, str(value.tolist())) for name, value in sorted(request.items()))


class Judge:
    """A consumer, before a source and an edited copy of it.

    Args:
        consumer: One of ``CONSUMERS``.
        source: The source, and its tag set.
        edited: The edited copy, and its tag set.
        reset: Undoes what running a signature has changed.
        unloadable: What the consumer says of the source, where it can't load it.
        unrunnable: Signature key of the source → what the consumer says where it loads it and can't run it.

    Attributes:
        problems: What is wrong, a line each that names edit, signature and consumer.
        judged: The keys of the signatures of which an answer was compared.
        judged_edits: The edits of which one was compared; before ``saved_model_cli``, one of each edit is.
    """

    def __init__(
        self, consumer: str, source: tuple[Path, list[str]], edited: tuple[Path, list[str]], reference: Reference,
        *, reset: Reset, unloadable: str | None, unrunnable: Mapping[str, str],
    ) -> None:  # fmt: skip
        self._consumer, self._reference, self._reset = consumer, reference, reset
        self._unrunnable = unrunnable
        self.problems: list[str] = []
        self.judged: set[str] = set()
        self.judged_edits: set[str] = set()
        self._known: dict[Any, Any] = {}
        self._source, self._edited = (self._load(*which, unloadable) for which in (source, edited))

    def _load(self, folder: Path, tags: list[str], unloadable: str | None) -> Loaded | None:
        try:
            loaded = CONSUMERS[self._consumer](folder, tags)
        except Exception as error:
            if unloadable is None or not re.search(unloadable, str(error)):
                self.problems.append(f"{self._consumer} can't load {folder}: {words(error)}")
            return None
        if unloadable is not None:
            self.problems.append(f"{self._consumer} loads {folder}, which it was expected to refuse")
        return loaded

    def judge(self, cases: list[edit_cases.Case], requests: Requests, meta_graph: MetaGraph) -> None:
        """Compares every case.

        Args:
            cases: The cases.
            requests: What to ask the signatures of the source.
            meta_graph: The edited meta graph, as it is in memory.
        """
        if self._source is None or self._edited is None:
            return
        signatures = self._edited.signatures()
        if (kept := set(meta_graph.callable_signatures)) != set(signatures):
            self.problems.append(f"{self._consumer} sees the signatures {sorted(signatures)}, not {sorted(kept)}")
        for case in cases:
            where = f"{case.edit} of {case.source_key!r} in {self._consumer}"
            if case.is_absent:
                if case.key in signatures:
                    self.problems.append(f"{where}: it is still there")
                else:
                    self.judged.add(case.key)
                    self.judged_edits.add(case.edit)
                continue
            self._judge_specs(where, signatures.get(case.key), meta_graph.signatures[case.key])
            if self._consumer == "saved_model_cli" and case.edit in self.judged_edits:
                continue  # it loads the model anew for every request
            for number, request in enumerate(self._asked(case, requests[case.source_key])):
                for remapper in self._remappers():
                    self._compare(f"{where}, request {number}, remapper {remapper}", case, request, remapper)
        for loaded in (self._source, self._edited):
            loaded.close()

    def _asked(self, case: edit_cases.Case, requests: list[Answers]) -> list[Answers]:
        if self._consumer == "saved_model_cli":
            requests = requests[:1]
        if case.bound or case.refused:  # what was fixed fits requests of the same shapes
            shapes = {name: value.shape for name, value in requests[0].items()}
            return [one for one in requests if {name: value.shape for name, value in one.items()} == shapes]
        return requests

    def _remappers(self) -> tuple[bool, ...]:
        if self._consumer == "saved_model_cli":
            return (True,)
        return True, False

    def _judge_specs(self, where: str, seen: consumers.Specs | None, signature: Signature) -> None:
        """Names, dtypes and shapes are those of the model in memory."""
        if seen is None:
            return
        again = self._consumer == "load and save again"  # TensorFlow infers shapes anew then
        for what, found, infos in zip(("inputs", "outputs"), seen, (signature.inputs, signature.outputs), strict=True):
            names = {name for key, info in infos.items() for name in edit_cases.names_of(key, info)}
            plain = {key: info for key, info in infos.items() if info.encoding == "name"}
            if again:
                names = {consumers.saved_again(name) if what == "inputs" else name for name in names}
                plain = {consumers.saved_again(key) if what == "inputs" else key: info for key, info in plain.items()}
            if not set(plain) <= set(found) <= names:
                self.problems.append(f"{where}: the {what} are {sorted(found)}, not {sorted(names)}")
                continue
            for key, info in plain.items():
                dtype, dims = found[key]
                same = info.shape.is_compatible_with(Shape(dims)) if again else info.shape.dims == dims
                if dtype != consumers.dtype_name(info.dtype.base.number) or not same:
                    self.problems.append(f"{where}: {key!r} of the {what} is {dtype} {dims}, not {info}")

    def _compare(self, where: str, case: edit_cases.Case, request: Answers, remapper: bool) -> None:
        asked = {**request, **case.bound}
        if self._needs_inner(case) and isinstance(self._reference.answers(case.source_key, asked), str):
            assert case.source_key in self._unrunnable  # nothing can run the source, so nobody knows what to feed
            return
        fed = {
            name: asked[old] if isinstance(old, str) else self._reference.inner(case.source_key, asked, old)
            for name, old in case.inputs.items()
        }
        source = self._source_answers(where, case.source_key, asked, remapper)
        edited = self._run(self._edited, case.key, fed, remapper)
        if isinstance(edited, str):
            known = self._unrunnable.get(case.source_key)
            if known is None or not re.search(known, edited):
                self.problems.append(f"{where}: {edited}")
            return
        if set(edited) != set(case.outputs):
            self.problems.append(f"{where}: answers {sorted(edited)}, not {sorted(case.outputs)}")
            return
        for name, old in case.outputs.items():
            if isinstance(old, str):
                wanted, bits = source[old], case.bits or not remapper
            else:
                wanted, bits = self._reference.inner(case.source_key, asked, old), not remapper
            if problem := difference(edited[name], wanted, bits):
                self.problems.append(f"{where}: {name!r} ({old}) {problem}")
        self.judged.add(case.key)
        self.judged_edits.add(case.edit)
        if case.refused:
            answer = self._run(self._edited, case.key, {**fed, **case.refused}, remapper)
            if not isinstance(answer, str) or not re.search("[Ss]hape|TensorSpec", answer):
                self.problems.append(f"{where}: another shape isn't refused as such: {answer}")

    def _needs_inner(self, case: edit_cases.Case) -> bool:
        return any(not isinstance(old, str) for old in case.inputs.values())

    def _source_answers(self, where: str, key: str, request: Answers, remapper: bool) -> Any:
        """What the source answers here; where it can't be run here, what it answers elsewhere."""
        known = key, remapper, _hashable(request)
        if known in self._known:
            return self._known[known]
        answers = self._run(self._source, key, request, remapper)
        reference = self._reference.answers(key, request)
        refusal = self._unrunnable.get(key)
        if isinstance(answers, str):
            if refusal is None or not re.search(refusal, answers):
                self.problems.append(f"{where}: the source: {answers}")
            answers = reference
        else:
            if refusal is not None:
                self.problems.append(f"{where}: the source can be run, which was not expected")
            for name, value in answers.items():
                if problem := difference(value, reference[name], False):
                    self.problems.append(f"{where}: {name!r} of the source {problem} as in tf.compat.v1")
        self._known[known] = answers
        return answers

    def _run(self, loaded: Loaded | None, key: str, fed: Answers, remapper: bool) -> Any:
        assert loaded is not None
        try:
            return loaded.run(key, fed, remapper)
        except Exception as error:
            return words(error)
        finally:
            if self._consumer != "saved_model_cli":  # which loads the model anew each time
                self._reset(loaded)
