"""What a renamed output and an export cost, against ``tf.saved_model.load`` and ``tf.saved_model.save``.

Two models with signatures of TensorFlow 2: ``variables`` has 800 MB in 16 variables, ``gigabyte`` a ``saved_model.pb``
of 1 GB, in 16 constants inside a function. Each is written anew with hardlinks, with copies and with TensorFlow, in
processes that take turns; the table shows medians::

    python benchmarks/edit_export.py                              # three rounds with each model
    python benchmarks/edit_export.py --pairs 5 --check            # status 1 where a claim fails
    python benchmarks/edit_export.py --models variables --json

CPU is told twice: for the work alone, imports excluded, which is what the claims are about, and for the whole process.
TensorFlow is spared the renaming, for which one would write a function around the signature. Peak memory is that of
the whole process, and of that what the work added to it. TensorFlow needs 15 GB of memory for ``gigabyte``, and some
5 GB of disk are needed for both; everything is removed at the end.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from function_models import weights_in_function, write_function_model
from processes import Claim, Run, measure, printable_claims

RESAVE = Path(__file__).resolve().with_name("resave.py")
MODELS = ("variables", "gigabyte")
WAYS = ("link", "copy", "tensorflow")
MOST_CPU = {
    ("variables", "link"): 1 / 200,
    ("variables", "copy"): 1 / 8,
    ("gigabyte", "link"): 1 / 25,
    ("gigabyte", "copy"): 1 / 25,
}
MOST_PEAK = 1 / 20
NEEDED_BYTES = 5 * 10**9


@dataclass(frozen=True)
class Export:
    """What one process cost that wrote a model anew.

    Attributes:
        process: The whole process.
        work_cpu_s: User plus system time of the work in it, in seconds.
        peak_growth_bytes: What the work added to the largest resident set.
    """

    process: Run
    work_cpu_s: float
    peak_growth_bytes: int


def make_model(name: str, folder: Path) -> None:
    """Writes a model as version 1 in a folder."""
    folder.mkdir()
    if name == "gigabyte":
        write_function_model(folder / "1", weights_in_function())
    else:
        measure([sys.executable, str(RESAVE), "make", str(folder / "1")])


def export(how: str, source: Path, work: Path) -> Export:
    """Writes a model anew in one of the ``WAYS``, and removes what was written.

    Raises:
        SystemExit: It failed, or less was written than the model has.
    """
    written, report = work / "written", work / "report.json"
    os.sync()  # what the process before has left to be written is not this one's business
    run = measure([sys.executable, str(RESAVE), how, str(source), str(written), str(report)])
    if size_of(written) < 0.99 * size_of(source):
        sys.exit(f"{how} wrote only {size_of(written):,} of the {size_of(source):,} bytes of the model")
    shutil.rmtree(written)
    noted = json.loads(report.read_text("utf-8"))
    return Export(run, noted["work_cpu_s"], noted["peak_growth_bytes"])


def size_of(folder: Path) -> int:
    """The bytes of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def compare(names: Iterable[str], rounds: int, work: Path) -> dict[str, Any]:
    """Measures some models, one after the other.

    Returns:
        By model and way the medians; under ``ratio`` the medians of what a way took of TensorFlow's in the same round.
    """
    result: dict[str, Any] = {}
    for name in names:
        source = work / name
        make_model(name, source)
        taken = [{how: export(how, source / "1", work) for how in WAYS} for _ in range(rounds)]
        result[name] = {how: summary([one[how] for one in taken], [one["tensorflow"] for one in taken]) for how in WAYS}
        shutil.rmtree(source)
    return result


def summary(ours: list[Export], theirs: list[Export]) -> dict[str, Any]:
    """Medians of some runs, and of their ratios to the runs of TensorFlow beside them."""
    pairs = list(zip(ours, theirs, strict=True))
    return {
        "runs": len(ours),
        "work_cpu_s": statistics.median(one.work_cpu_s for one in ours),
        "process_cpu_s": statistics.median(one.process.cpu_s for one in ours),
        "peak_bytes": statistics.median(one.process.peak_bytes for one in ours),
        "peak_growth_bytes": statistics.median(one.peak_growth_bytes for one in ours),
        "ratio": {
            "work_cpu": statistics.median(our.work_cpu_s / their.work_cpu_s for our, their in pairs),
            "process_cpu": statistics.median(our.process.cpu_s / their.process.cpu_s for our, their in pairs),
            "peak": statistics.median(our.process.peak_bytes / their.process.peak_bytes for our, their in pairs),
        },
    }


def claims(result: dict[str, Any]) -> list[Claim]:
    """What is claimed about the models that were measured."""
    found = []
    for name, of_model in result.items():
        for how in ("link", "copy"):
            ratio, most = of_model[how]["ratio"], MOST_CPU[name, how]
            found.append(Claim(f"{name}, {how}: CPU at most 1/{1 / most:.0f} of TensorFlow's", ratio["work_cpu"], most))
            text = f"{name}, {how}: peak memory at most 1/{1 / MOST_PEAK:.0f} of TensorFlow's"
            found.append(Claim(text, ratio["peak"], MOST_PEAK))
    return found


def printable(result: dict[str, Any]) -> str:
    """The result as a table in text."""
    lines = [
        f"{'':22}{'CPU of the work':>26}{'of the process':>24}{'peak':>20}{'growth':>10}",
        f"{'model':10}{'how':12}{'runs':>5}{'s':>10}{'ratio':>11}{'s':>13}{'ratio':>11}{'MiB':>12}{'ratio':>8}{'MiB':>10}",
    ]
    for name, of_model in result.items():
        for how, row in of_model.items():
            ratio = {what: f"1/{1 / value:.1f}" for what, value in row["ratio"].items()}
            lines.append(
                f"{name:10}{how:12}{row['runs']:5}{row['work_cpu_s']:10.3f}{ratio['work_cpu']:>11}"
                f"{row['process_cpu_s']:13.3f}{ratio['process_cpu']:>11}{row['peak_bytes'] / 2**20:12.1f}"
                f"{ratio['peak']:>8}{row['peak_growth_bytes'] / 2**20:10.1f}"
            )
    return "\n".join([*lines, "Medians; ratios to TensorFlow in the same round.", *printable_claims(claims(result))])


def main() -> int:
    """Reads the command line, measures and prints.

    Returns:
        1 where ``--check`` was given and a claim fails, else 0.
    """
    parser = argparse.ArgumentParser(description="CPU and peak memory of an edit and an export against TensorFlow's.")
    parser.add_argument("--pairs", type=int, default=3, help="rounds, in each of which every way runs once (default 3)")
    parser.add_argument("--models", default=",".join(MODELS), help="some of variables,gigabyte (default both)")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--check", action="store_true", help="leave with status 1 where a claim fails")
    options = parser.parse_args()
    names = options.models.split(",")
    if unknown := set(names) - set(MODELS):
        parser.error(f"there is no model {', '.join(sorted(unknown))}; available: {', '.join(MODELS)}")
    if options.pairs < 1:
        parser.error("at least one round is needed")
    with tempfile.TemporaryDirectory(prefix="edit-export-") as work:
        if (free := shutil.disk_usage(work).free) < NEEDED_BYTES:
            sys.exit(
                f"{work} has {free:,} bytes of space, and {NEEDED_BYTES:,} are needed; set TMPDIR to another place"
            )
        result = compare(names, options.pairs, Path(work))
    print(json.dumps(result, indent=2) if options.json else printable(result))
    return 1 if options.check and not all(claim.holds for claim in claims(result)) else 0


if __name__ == "__main__":
    sys.exit(main())
