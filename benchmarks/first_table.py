"""What the first look at a SavedModel costs: ``explorer show`` against ``saved_model_cli show --all``.

Whole processes are measured, each from its start to its end: CPU as user plus system seconds and the largest resident
set, both as the kernel tells them when the process is waited for. The two commands take turns, so that what else the
machine does meets both alike; the table shows medians::

    python benchmarks/first_table.py                       # five pairs on each model
    python benchmarks/first_table.py --pairs 21 --check    # as the claims are stated; status 1 where one fails
    python benchmarks/first_table.py --models tiny --json

The two large models are written here byte by byte, without TensorFlow. ``--work`` keeps them for the next time.

On Linux the peak that is told for a process is never below that of the process which started it, because the count
goes over the ``exec``. So a bare interpreter of some 8 MiB stands in between, starts the command and waits for it; the
peak that a program which does nothing seems to have that way, below which nothing can be seen, is printed too.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
TINY = REPOSITORY / "sample_models" / "half_plus_two" / "00000124"

NODES = 50_000
WEIGHTS = 16
WEIGHT_BYTES = 64 * 2**20
PIECE_BYTES = 2**20

LAUNCHER = """
import posix, sys
nowhere = posix.open("/dev/null", posix.O_WRONLY)
quiet = [(posix.POSIX_SPAWN_DUP2, nowhere, 1), (posix.POSIX_SPAWN_DUP2, nowhere, 2)]
child = posix.posix_spawn(sys.argv[1], sys.argv[1:], posix.environ, file_actions=quiet)
_, status, usage = posix.wait4(child, 0)
print(posix.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
"""
"""Runs its arguments as a command; imports only what is built into the interpreter, to stay small."""

NOTHING = shutil.which("true") or "/bin/true"
"""A program that does nothing."""

DT_FLOAT = 1
PRODUCER, MIN_CONSUMER = 1882, 12
"""Versions of the graph format as TensorFlow 2.16 writes them."""


@dataclass(frozen=True)
class Run:
    """What one process cost.

    Attributes:
        cpu_s: User plus system time in seconds.
        peak_bytes: The largest resident set in bytes.
    """

    cpu_s: float
    peak_bytes: int


@dataclass(frozen=True)
class Claim:
    """A number that the README states, and what was measured.

    Attributes:
        text: What is claimed.
        measured: The number that was found.
        most: The largest number for which the claim holds.
    """

    text: str
    measured: float
    most: float

    @property
    def holds(self) -> bool:
        """Whether the measured number is small enough."""
        return self.measured <= self.most


# The wire format: https://protobuf.dev/programming-guides/encoding/


def varint(number: int) -> bytes:
    """A number that is not negative as a varint."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def number_field(number: int, value: int) -> bytes:
    """A field that holds a varint."""
    return varint(number << 3) + varint(value)


def field_head(number: int, size_bytes: int) -> bytes:
    """What stands before the bytes of a length-delimited field."""
    return varint(number << 3 | 2) + varint(size_bytes)


def field(number: int, *parts: bytes | str) -> bytes:
    """A length-delimited field that holds some parts one after the other."""
    body = b"".join(part.encode() if isinstance(part, str) else part for part in parts)
    return field_head(number, len(body)) + body


def entry(number: int, key: str, value: bytes) -> bytes:
    """An entry of a map field."""
    return field(number, field(1, key), field(2, value))


def node(name: str, op: str, inputs: Iterable[str] = (), **attributes: bytes) -> bytes:
    """A field GraphDef.node; attributes are serialized AttrValues."""
    arguments = (field(3, name) for name in inputs)
    values = (entry(5, key, value) for key, value in sorted(attributes.items()))
    return field(1, field(1, name), field(2, op), *arguments, *values)


FLOAT_TYPE = number_field(6, DT_FLOAT)
VECTOR_SHAPE = field(2, number_field(1, 2**64 - 1))  # one dimension of size -1
PLACEHOLDER = node("x", "Placeholder", dtype=FLOAT_TYPE, shape=field(7, VECTOR_SHAPE))
GRAPH_END = field(4, number_field(1, PRODUCER), number_field(3, MIN_CONSUMER))


def meta_graph_end(output: str) -> bytes:
    """The fields of a MetaGraphDef besides its graph: tags, version, and a signature from ``x`` to an output."""

    def tensor(name: str) -> bytes:
        return field(1, name) + number_field(2, DT_FLOAT) + field(3, VECTOR_SHAPE)

    signature = entry(1, "x", tensor("x:0")) + entry(2, "y", tensor(output)) + field(3, "tensorflow/serving/predict")
    return field(1, field(4, "serve"), field(5, "2.16.1")) + entry(5, "serving_default", signature)


def write_model(folder: Path, pieces: Callable[[], Iterator[bytes]], output: str) -> None:
    """Writes a SavedModel with one meta graph.

    Args:
        folder: Where; nothing is done if it has been written before.
        pieces: Gives the fields of the GraphDef in pieces. Called twice: the format wants lengths before contents.
        output: Tensor name of the signature's output.
    """
    if folder.exists():
        return
    graph_bytes = sum(map(len, pieces()))
    end = meta_graph_end(output)
    head = field_head(2, graph_bytes)
    staged = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    with (staged / "saved_model.pb").open("wb") as file:
        file.write(number_field(1, 1) + field_head(2, len(head) + graph_bytes + len(end)) + head)
        for piece in pieces():
            file.write(piece)
        file.write(end)
    staged.rename(folder)


def chain_of_nodes() -> Iterator[bytes]:
    """A graph of 50,000 nodes, each of which adds the input to the one before."""
    yield PLACEHOLDER
    before = "x"
    for number in range(1, NODES - 1):
        name = f"block_{number // 100}/layer_{number}/add"
        yield node(name, "AddV2", (before, "x"), T=FLOAT_TYPE)
        before = name
    yield node("y", "Identity", (before,), T=FLOAT_TYPE) + GRAPH_END


def gigabyte_of_weights() -> Iterator[bytes]:
    """A graph with 16 constants of 64 MiB each, as freezing the variables of a model makes them."""
    yield PLACEHOLDER
    noise = random.Random(0).randbytes(PIECE_BYTES)
    shape = field(2, field(2, number_field(1, WEIGHT_BYTES // 4)))
    for number in range(WEIGHTS):
        tensor_bytes = len(number_field(1, DT_FLOAT) + shape + field_head(4, WEIGHT_BYTES)) + WEIGHT_BYTES
        value_head = field_head(8, tensor_bytes)
        value_bytes = len(value_head) + tensor_bytes
        key = field(1, "value")
        entry_bytes = len(key + field_head(2, value_bytes)) + value_bytes
        head = field(1, f"weights_{number}") + field(2, "Const") + entry(5, "dtype", FLOAT_TYPE)
        node_bytes = len(head + field_head(5, entry_bytes)) + entry_bytes
        yield field_head(1, node_bytes) + head + field_head(5, entry_bytes) + key + field_head(2, value_bytes)
        yield value_head + number_field(1, DT_FLOAT) + shape + field_head(4, WEIGHT_BYTES)
        for _ in range(WEIGHT_BYTES // PIECE_BYTES):
            yield noise
    yield node("y", "Identity", ("x",), T=FLOAT_TYPE) + GRAPH_END


def models(names: Iterable[str], work: Path) -> dict[str, Path]:
    """The folders of the models with some names, made below ``work`` where they aren't there yet."""
    folders = {"tiny": TINY, "nodes": work / "nodes", "gigabyte": work / "gigabyte"}
    chosen = {name: folders[name] for name in names}
    if "nodes" in chosen:
        write_model(folders["nodes"], chain_of_nodes, "y:0")
    if "gigabyte" in chosen:
        write_model(folders["gigabyte"], gigabyte_of_weights, "y:0")
    return chosen


def measure(command: list[str]) -> Run:
    """Runs a command with its output thrown away.

    Raises:
        SystemExit: The command failed.
    """
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    launched = [sys.executable, "-I", "-S", "-c", LAUNCHER, *command]
    told = subprocess.run(launched, env=environment, capture_output=True, text=True, check=True).stdout.split()
    if told[0] != "0":
        sys.exit(f"{' '.join(command)} left with status {told[0]}; run it by hand to see why")
    unit = 1 if sys.platform == "darwin" else 1024  # macOS tells bytes, everything else KiB
    return Run(float(told[1]), int(told[2]) * unit)


def taking_turns(first: list[str], second: list[str], pairs: int) -> tuple[list[Run], list[Run]]:
    """Measures two commands in turn, after each has run once to warm the caches of the machine."""
    measure(first)
    measure(second)
    runs = [(measure(first), measure(second)) for _ in range(pairs)]
    return [run[0] for run in runs], [run[1] for run in runs]


def show(path: Path) -> list[str]:
    """The command that is measured."""
    return [sys.executable, "-m", "explorer", "show", str(path)]


def saved_model_cli(path: Path) -> list[str]:
    """The command it is measured against.

    Raises:
        SystemExit: TensorFlow, which brings it, isn't installed.
    """
    beside = Path(sys.executable).with_name("saved_model_cli")
    program = str(beside) if beside.exists() else shutil.which("saved_model_cli")
    if program is None:
        sys.exit("saved_model_cli isn't there to compare with; it comes with TensorFlow: pip install '.[tensorflow]'")
    return [program, "show", "--all", "--dir", str(path)]


def summary(runs: list[Run]) -> dict[str, Any]:
    """Medians of some runs, and how far their CPU spreads."""
    cpu = sorted(run.cpu_s for run in runs)
    return {
        "runs": len(runs),
        "cpu_s": statistics.median(cpu),
        "cpu_s_least": cpu[0],
        "cpu_s_most": cpu[-1],
        "peak_bytes": statistics.median(run.peak_bytes for run in runs),
    }


def compare(chosen: dict[str, Path], pairs: int, cli_pairs: int) -> dict[str, Any]:
    """Measures all that is asked for.

    Args:
        chosen: Folder by name of the model.
        pairs: How many pairs of ``show`` on the largest and ``show`` on the tiny model.
        cli_pairs: How many pairs of ``show`` and ``saved_model_cli`` on each model.

    Returns:
        By model the medians of both commands and the ratio of their CPU; under ``growth`` the ratio between models.
    """
    result: dict[str, Any] = {"models": {}, "growth": None, "floor_bytes": measure([NOTHING]).peak_bytes}
    for name, path in chosen.items():
        ours, theirs = taking_turns(show(path), saved_model_cli(path), cli_pairs)
        ratio = statistics.median(their.cpu_s / our.cpu_s for our, their in zip(ours, theirs, strict=True))
        result["models"][name] = {"show": summary(ours), "saved_model_cli": summary(theirs), "times_less_cpu": ratio}
    if {"tiny", "gigabyte"} <= set(chosen):
        small, large = taking_turns(show(chosen["tiny"]), show(chosen["gigabyte"]), pairs)
        ratio = statistics.median(two.cpu_s / one.cpu_s for one, two in zip(small, large, strict=True))
        result["growth"] = {"tiny": summary(small), "gigabyte": summary(large), "times_cpu": ratio}
    return result


def claims(result: dict[str, Any]) -> list[Claim]:
    """What is claimed about the models that were measured."""
    found = []
    for name, most in (("tiny", 1 / 80), ("gigabyte", 1 / 150)):
        if name in result["models"]:
            of_model = result["models"][name]
            text = f"{name}: CPU of show at most 1/{1 / most:.0f} of saved_model_cli"
            found.append(Claim(text, 1 / of_model["times_less_cpu"], most))
            peak_mib = of_model["show"]["peak_bytes"] / 2**20
            found.append(Claim(f"{name}: peak memory of show at most 50 MiB", peak_mib, 50))
    if result["growth"]:
        found.append(Claim("gigabyte costs show at most 1.3 times tiny", result["growth"]["times_cpu"], 1.3))
    return found


def printable(result: dict[str, Any]) -> str:
    """The result as a table in text."""
    lines = [f"{'model':10}{'command':18}{'runs':>5}{'CPU s':>9}{'least':>9}{'most':>9}{'peak MiB':>10}"]

    def add(model: str, command: str, row: dict[str, Any]) -> None:
        seconds = "".join(f"{row[key]:9.3f}" for key in ("cpu_s", "cpu_s_least", "cpu_s_most"))
        lines.append(f"{model:10}{command:18}{row['runs']:5}{seconds}{row['peak_bytes'] / 2**20:10.1f}")

    for name, of_model in result["models"].items():
        add(name, "show", of_model["show"])
        add(name, "saved_model_cli", of_model["saved_model_cli"])
        lines.append(f"{'':10}show takes 1/{of_model['times_less_cpu']:.0f} of the CPU")
    if growth := result["growth"]:
        add("tiny", "show", growth["tiny"])
        add("gigabyte", "show", growth["gigabyte"])
        lines.append(f"{'':10}gigabyte takes {growth['times_cpu']:.2f} times the CPU of tiny")
    lines.append(f"Medians. No peak below {result['floor_bytes'] / 2**20:.1f} MiB can be seen.")
    for claim in claims(result):
        word = "holds" if claim.holds else "FAILS"
        lines.append(f"{word}: {claim.text} ({claim.measured:.4g}, at most {claim.most:.4g})")
    return "\n".join(lines)


def main() -> int:
    """Reads the command line, measures and prints.

    Returns:
        1 where ``--check`` was given and a claim fails, else 0.
    """
    parser = argparse.ArgumentParser(description="CPU and peak memory of show against saved_model_cli show --all.")
    parser.add_argument("--pairs", type=int, default=5, help="pairs of runs of each comparison (default 5)")
    parser.add_argument("--cli-pairs", type=int, help="fewer pairs for those with saved_model_cli, which takes long")
    parser.add_argument("--models", default="tiny,nodes,gigabyte", help="some of tiny,nodes,gigabyte (default all)")
    parser.add_argument("--work", type=Path, help="folder for the models that are made (default: one that is removed)")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--check", action="store_true", help="leave with status 1 where a claim fails")
    options = parser.parse_args()
    names = options.models.split(",")
    if unknown := set(names) - {"tiny", "nodes", "gigabyte"}:
        parser.error(f"there is no model {', '.join(sorted(unknown))}; available: tiny, nodes, gigabyte")
    cli_pairs = options.pairs if options.cli_pairs is None else options.cli_pairs
    if min(options.pairs, cli_pairs) < 1:
        parser.error("at least one pair is needed")
    kept = options.work.resolve() if options.work else None
    os.chdir(REPOSITORY)  # "python -m explorer" finds this checkout, installed or not
    with tempfile.TemporaryDirectory(prefix="first-table-") as temporary:
        result = compare(models(names, kept or Path(temporary)), options.pairs, cli_pairs)
    print(json.dumps(result, indent=2) if options.json else printable(result))
    return 1 if options.check and not all(claim.holds for claim in claims(result)) else 0


if __name__ == "__main__":
    sys.exit(main())
