"""What the validation of a further edit costs, against the first validation of the model.

Two models with 50,000 nodes: ``graph`` has them in its graph, as TensorFlow 1 does, ``function`` in the body of a
function, as TensorFlow 2 does. A model is opened afresh and checked, and after each of some edits it is checked again,
as the forms do while a person edits. CPU seconds in one process; of several rounds the least counts::

    python benchmarks/validate_edits.py --check    # status 1 where a claim fails
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from function_models import OUTPUT, SIGNATURE, chain_in_function, write_function_model
from made_models import chain_of_nodes, write_model
from processes import Claim, printable_claims

import explorer

MOST = 1 / 20
_Given = TypeVar("_Given")
Edit = Callable[[explorer.SavedModel], explorer.SavedModel]


def edits_of(output: str, inner: str) -> dict[str, Edit]:
    """The edits by name, each of which is made on what the one before gave.

    Args:
        output: The key of an output of the signature.
        inner: A tensor in the middle of the chain.
    """
    return {
        "rename_output": lambda model: explorer.rename_output(model, SIGNATURE, output, "scores"),
        "set_output_tensor": lambda model: explorer.set_output_tensor(model, SIGNATURE, "scores", inner),
        "add_output": lambda model: explorer.add_output(model, SIGNATURE, "inner", inner),
    }


EDITS = {
    "graph": edits_of("y", "block_250/layer_25000/add:0"),
    "function": edits_of(OUTPUT, "block_250/layer_25000/mul:0"),
}


def seconds(work: Callable[[explorer.SavedModel], _Given], model: explorer.SavedModel) -> tuple[float, _Given]:
    """The CPU seconds that something takes with a model, and what it gives."""
    gc.collect()
    begun = time.process_time()
    given = work(model)
    return time.process_time() - begun, given


def validate(folder: Path, edits: dict[str, Edit]) -> dict[str, float]:
    """Opens and checks a model, edits it and checks it after each edit.

    Returns:
        CPU seconds: of the ``first`` validation, of that after each edit under the edit's name, and of the edit itself
        under ``edit: `` and its name.
    """
    model = explorer.open_saved_model(folder)
    found: dict[str, float] = {}
    found["first"], _ = seconds(explorer.check, model)
    for name, edit in edits.items():
        found[f"edit: {name}"], model = seconds(edit, model)
        found[name], _ = seconds(explorer.check, model)
    return found


def compare(rounds: int, work: Path) -> dict[str, dict[str, float]]:
    """The least CPU seconds of several rounds, by model."""
    write_model(work / "graph", chain_of_nodes, "y:0")
    write_function_model(work / "function", chain_in_function())
    result = {}
    for name, edits in EDITS.items():
        taken = [validate(work / name, edits) for _ in range(rounds)]
        result[name] = {what: min(one[what] for one in taken) for what in taken[0]}
    return result


def claims(result: dict[str, dict[str, float]]) -> list[Claim]:
    """What is claimed about every edit of every model."""
    return [
        Claim(f"{name}: validation after {edit} at most 1/{1 / MOST:.0f} of the first", row[edit] / row["first"], MOST)
        for name, row in result.items()
        for edit in EDITS[name]
    ]


def printable(result: dict[str, dict[str, float]]) -> str:
    """The result as a table in text."""
    lines = [f"{'model':10}{'validation':20}{'CPU ms':>10}{'ratio':>10}{'the edit, CPU ms':>20}"]
    for name, row in result.items():
        lines.append(f"{name:10}{'first':20}{row['first'] * 1e3:10.1f}")
        for edit in EDITS[name]:
            ratio = f"1/{row['first'] / row[edit]:.0f}"
            lines.append(f"{name:10}{edit:20}{row[edit] * 1e3:10.2f}{ratio:>10}{row[f'edit: {edit}'] * 1e3:20.2f}")
    return "\n".join([*lines, *printable_claims(claims(result))])


def main() -> int:
    """Reads the command line, measures and prints.

    Returns:
        1 where ``--check`` was given and a claim fails, else 0.
    """
    parser = argparse.ArgumentParser(description="CPU of checking a model after an edit against the first check.")
    parser.add_argument("--rounds", type=int, default=5, help="how often all is done, of which the least counts")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--check", action="store_true", help="leave with status 1 where a claim fails")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("at least one round is needed")
    with tempfile.TemporaryDirectory(prefix="validate-edits-") as work:
        result = compare(options.rounds, Path(work))
    print(json.dumps(result, indent=2) if options.json else printable(result))
    return 1 if options.check and not all(claim.holds for claim in claims(result)) else 0


if __name__ == "__main__":
    sys.exit(main())
