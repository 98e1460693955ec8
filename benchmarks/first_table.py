"""What the first look at a SavedModel costs: ``explorer show`` against ``saved_model_cli show --all``.

Whole processes are measured, each from its start to its end: CPU as user plus system seconds and the largest resident
set, both as the kernel tells them when the process is waited for. The two commands take turns, so that what else the
machine does meets both alike; the table shows medians::

    python benchmarks/first_table.py                       # five pairs on each model
    python benchmarks/first_table.py --pairs 21 --check    # as the claims are stated; status 1 where one fails
    python benchmarks/first_table.py --models tiny --json

The two large models are written here byte by byte, without TensorFlow. ``--work`` keeps them for the next time.

The peak that a program which does nothing seems to have, below which nothing can be seen, is printed too; the module
``processes`` says why there is one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from made_models import chain_of_nodes, gigabyte_of_weights, write_model
from processes import NOTHING, Claim, Run, measure, printable_claims

REPOSITORY = Path(__file__).resolve().parent.parent
TINY = REPOSITORY / "sample_models" / "half_plus_two" / "00000124"


def models(names: Iterable[str], work: Path) -> dict[str, Path]:
    """The folders of the models with some names, made below ``work`` where they aren't there yet."""
    folders = {"tiny": TINY, "nodes": work / "nodes", "gigabyte": work / "gigabyte"}
    chosen = {name: folders[name] for name in names}
    if "nodes" in chosen:
        write_model(folders["nodes"], chain_of_nodes, "y:0")
    if "gigabyte" in chosen:
        write_model(folders["gigabyte"], gigabyte_of_weights, "y:0")
    return chosen


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
    return "\n".join([*lines, *printable_claims(claims(result))])


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
