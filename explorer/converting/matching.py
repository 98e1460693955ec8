"""Which variable of a graph gets its value from where in a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from explorer.converting.graph_variables import GraphVariable, Place
from explorer.converting.needed_variables import needed_variables
from explorer.converting.saver_nodes import Restored
from explorer.errors import ConversionError, listed, quoted
from explorer.savedmodel.checkpoint_index import Variable
from explorer.savedmodel.graph import Graph
from explorer.savedmodel.model import DType, Shape

_STEP: Final = "global_step"


@dataclass(frozen=True, slots=True)
class Matched:
    """The variables of a graph that a checkpoint has values for.

    Attributes:
        restored: Each with its place, in the order of the graph.
        notes: What a person should know about the others.
    """

    restored: tuple[Restored, ...]
    notes: tuple[str, ...]


def match_variables(
    graph: Graph, variables: Iterable[GraphVariable], stored: Mapping[str, Variable], where: str
) -> Matched:
    """Finds the value of every variable that an answer may need.

    Args:
        graph: The graph.
        variables: Its variables.
        stored: Key → what the checkpoint holds.
        where: The checkpoint, as it stands in a sentence.

    Raises:
        ConversionError: The graph has no variables, one of them has another dtype or shape in the checkpoint, or one
            that may be needed isn't there.
    """
    every = list(variables)
    if not every:
        raise ConversionError(
            "the graph has no variables that a checkpoint could fill: it is frozen, so convert it by itself", ("graph",)
        )
    restored: list[Restored] = []
    missing: list[GraphVariable] = []
    for variable in every:
        found = _find(variable, stored, where)
        if found is None:
            missing.append(variable)
        else:
            restored.append(found)
    if not restored:
        raise ConversionError(
            f"none of the graph's variables ({listed([one.node for one in every], 3)}) is in {where}, which holds "
            f"{listed(stored, 3)}: give the graph that belongs to it",
            ("graph",),
        )
    steps = {one.node for one in missing if _is_step(one)}
    needed = [name for name in needed_variables(graph, [one.node for one in missing]) if name not in steps]
    if needed:
        raise ConversionError(
            f"{where} lacks the variable {quoted(needed[0])} of the graph{_and_more(needed)}, without which the graph "
            f"can't answer; it holds {listed(_nearest(needed[0], stored), 5)}: give the graph that belongs to it",
            ("graph",),
        )
    return Matched(tuple(restored), tuple(_notes(missing, restored, stored)))


def _find(variable: GraphVariable, stored: Mapping[str, Variable], where: str) -> Restored | None:
    misfit: Variable | None = None
    for place in variable.places:
        entry = stored.get(place.key)
        if entry is None:
            continue
        if _fits(variable, place, entry):
            known = variable if variable.dtype.number else replace(variable, dtype=DType(entry.dtype_number))
            return Restored(known, place)
        misfit = misfit or entry
    if misfit is None:
        return None
    raise ConversionError(
        f"the variable {quoted(variable.node)} of the graph is {variable}, and {where} holds {quoted(misfit.name)} as "
        f"{DType(misfit.dtype_number)}{Shape(misfit.shape)}: give the graph that belongs to it",
        ("graph",),
    )


def _fits(variable: GraphVariable, place: Place, entry: Variable) -> bool:
    if variable.dtype.number not in (0, entry.dtype_number):
        return False
    if place.whole is None:
        return variable.shape.is_compatible_with(Shape(entry.shape))
    dims = variable.shape.dims
    if dims is None or place.whole != entry.shape or not len(dims) == len(place.whole) == len(place.starts):
        return False
    sizes = zip(place.starts, dims, place.whole, strict=True)
    return all(size is not None and start >= 0 and start + size <= whole for start, size, whole in sizes)


def _is_step(variable: GraphVariable) -> bool:
    """Whether a variable counts the steps of the training, on which only its learning rate depends."""
    dims = variable.shape.dims
    return variable.node.rpartition("/")[2] == _STEP and (not dims or dims == (1,))


def _notes(missing: list[GraphVariable], restored: list[Restored], stored: Mapping[str, Variable]) -> Iterable[str]:
    if missing:
        names = listed([variable.node for variable in missing], 3)
        yield f"the checkpoint has no values for {names}; only training reads them, so they stay without a value"
    taken = {one.place.key for one in restored}
    unused = [key for key in stored if key not in taken]
    if unused:
        yield f"the graph has no variables for {listed(unused, 3)} of the checkpoint"


def _nearest(name: str, stored: Mapping[str, Variable]) -> list[str]:
    """The keys that look like a name first."""
    import difflib  # only a slip pays for it

    close = difflib.get_close_matches(name, list(stored)[:5000], n=3)
    return list(dict.fromkeys([*close, *stored]))


def _and_more(names: list[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""
