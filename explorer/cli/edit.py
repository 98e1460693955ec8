"""``edit``: a recipe applied, and the result exported as a new version."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.cli.printing import print_text
from explorer.errors import ExportError, RecipeError, quoted

if TYPE_CHECKING:
    from explorer.savedmodel.model import SavedModel

DIFFERS = 3
"""The exit status where what was written answers otherwise than its source."""

_LARGEST_RECIPE = 16 << 20


def edit(options: argparse.Namespace) -> int:
    """Applies a recipe and exports the result."""
    from explorer.editing.diff import diff
    from explorer.editing.recipe import apply_recipe
    from explorer.savedmodel.opening import open_saved_model

    model = open_saved_model(options.path, options.from_version)
    numeric_test = None
    if options.allow_running:
        from explorer.runtime.numeric_test import numeric_test as make_test

        numeric_test = make_test(consent=True)
    edited = apply_recipe(model, _read_recipe(options.recipe), numeric_test=numeric_test)
    if options.dry_run:
        from explorer.checking.checks import check, new_errors
        from explorer.render.text import changes_text

        print_text(changes_text(diff(model, edited)))
        if faults := new_errors(check(model), check(edited)):
            raise ExportError(f"an export would be refused: {faults[0].message}")
        return 0
    from explorer.exporting.export import export_version

    before_publish: Callable[[Path], None] | None = None
    if options.fingerprint == "recompute":
        from explorer.runtime.fingerprint import write_fingerprint

        before_publish = write_fingerprint
    published = export_version(
        edited,
        options.export,
        version=options.version,
        link=options.link,
        warmup=options.warmup,
        remove_duplicates=options.remove_duplicates,
        follow_outside_links=options.follow_links,
        before_publish=before_publish,
    )
    for note in published.notes:
        print_text(f"note: {note}")
    status = _proof(edited, published.path) if options.prove else 0
    print(published.path)
    return status


def _proof(edited: SavedModel, path: Path) -> int:
    """Runs old and new on the same inputs and prints what came of it; the status that it gives."""
    from explorer.render.proofs import proof_text
    from explorer.runtime.proof import prove

    proof = prove(edited, path, consent=True)
    print_text(proof_text(proof) + "\n")
    return 0 if proof.holds else DIFFERS


def _read_recipe(path: str) -> object:
    """The recipe in a file as data.

    Raises:
        RecipeError: The file can't be read, or is no JSON.
    """
    import json

    try:
        if path == "-":
            text = sys.stdin.buffer.read(_LARGEST_RECIPE + 1)
        else:
            with open(path, "rb") as file:
                text = file.read(_LARGEST_RECIPE + 1)
    except OSError as error:
        raise RecipeError(f"the recipe {quoted(path)} can't be read: {error.strerror or error}") from None
    if len(text) > _LARGEST_RECIPE:
        raise RecipeError(f"the recipe {quoted(path)} has more than {_LARGEST_RECIPE} bytes")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise RecipeError(
            f"the recipe {quoted(path)} is no JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from None
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise RecipeError(f"the recipe {quoted(path)} is no JSON: {error}") from None
