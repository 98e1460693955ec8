"""Everything that the checks find and that can be mended without a choice."""

from __future__ import annotations

from collections.abc import Iterable

from explorer.checking.checks import check
from explorer.checking.findings import Finding
from explorer.editing.recipe import apply_edit
from explorer.errors import ExplorerError
from explorer.savedmodel.model import SavedModel


def repairs(model: SavedModel) -> tuple[Finding, ...]:
    """What is wrong with a model and can be mended without a choice: findings with the edit that mends them.

    Each says what is wrong (``message``), what is done about it (``fix``) and how (``edit``, a recipe entry). Nothing
    that takes something away is among them.
    """
    return mendable(check(model))


def mendable(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those of some findings that :func:`repair` would mend."""
    return tuple(
        found
        for found in findings
        if found.edit is not None and found.severity != "note" and not str(found.edit["edit"]).startswith("remove_")
    )


def repair(model: SavedModel) -> SavedModel:
    """Mends all of :func:`repairs`, one after the other; a model without any comes back as it is.

    Raises:
        EditError: Something can't be mended; the sentence says what and why.
    """
    refused: dict[tuple[str, str], ExplorerError] = {}
    while True:
        todo = [found for found in repairs(model) if (found.code, found.subject) not in refused]
        if not todo:
            break
        try:
            model = apply_edit(model, todo[0].edit or {})
        except ExplorerError as error:
            refused[todo[0].code, todo[0].subject] = error
    if refused:
        raise next(iter(refused.values()))
    return model
