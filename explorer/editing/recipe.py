"""A recipe: edits as data, to be kept, reviewed and applied to another version of the model.

``{"recipe": 1, "edits": [{"edit": "rename_signature", "signature_key": "a", "new_key": "b"}, …]}``. Each entry names
a function of :mod:`explorer.editing.edits` and its arguments; ``tags`` may be left out where there is one meta graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from explorer.editing import edits
from explorer.editing.preprocessing import add_wrapped_signature
from explorer.editing.shape_edits import NumericTest
from explorer.errors import ExplorerError, RecipeError, listed, quoted
from explorer.savedmodel.model import SavedModel

RECIPE_VERSION = 1
MOST_EDITS = 100_000

_TEXT, _TEXTS, _NAMES = "text", "a list of texts", "a mapping from key to name"
_STEP, _CALL = "a step as plain data", "a mapping with the function and its arguments"
_SHAPE, _VALUE = "a list of sizes, null for any, or null for any shape", "a number, text, or lists of them"

EDITS: Mapping[str, tuple[Callable[..., SavedModel], Mapping[str, str]]] = {
    "rename_signature": (edits.rename_signature, {"signature_key": _TEXT, "new_key": _TEXT}),
    "copy_signature": (edits.copy_signature, {"signature_key": _TEXT, "new_key": _TEXT}),
    "remove_signature": (edits.remove_signature, {"signature_key": _TEXT}),
    "set_method_name": (edits.set_method_name, {"signature_key": _TEXT, "method_name": _TEXT}),
    "add_signature": (
        edits.add_signature,
        {"signature_key": _TEXT, "inputs": _NAMES, "outputs": _NAMES, "method_name": _TEXT},
    ),
    "add_signature_from_function": (
        edits.add_signature_from_function,
        {"signature_key": _TEXT, "function_name": _TEXT, "inputs": _NAMES, "outputs": _NAMES, "method_name": _TEXT},
    ),
    "rename_input": (edits.rename_input, {"signature_key": _TEXT, "input_key": _TEXT, "new_key": _TEXT}),
    "rename_output": (edits.rename_output, {"signature_key": _TEXT, "output_key": _TEXT, "new_key": _TEXT}),
    "remove_input": (edits.remove_input, {"signature_key": _TEXT, "input_key": _TEXT}),
    "remove_output": (edits.remove_output, {"signature_key": _TEXT, "output_key": _TEXT}),
    "set_input_tensor": (edits.set_input_tensor, {"signature_key": _TEXT, "input_key": _TEXT, "tensor_name": _TEXT}),
    "set_output_tensor": (edits.set_output_tensor, {"signature_key": _TEXT, "output_key": _TEXT, "tensor_name": _TEXT}),
    "add_output": (edits.add_output, {"signature_key": _TEXT, "output_key": _TEXT, "tensor_name": _TEXT}),
    "bind_input": (edits.bind_input, {"signature_key": _TEXT, "input_key": _TEXT, "value": _VALUE}),
    "set_input_shape": (edits.set_input_shape, {"signature_key": _TEXT, "input_key": _TEXT, "shape": _SHAPE}),
    "set_default": (edits.set_default, {"signature_key": _TEXT, "input_key": _TEXT, "value": _VALUE}),
    "remove_default": (edits.remove_default, {"signature_key": _TEXT, "input_key": _TEXT}),
    "set_tags": (edits.set_tags, {"new_tags": _TEXTS}),
    "remove_meta_graph": (edits.remove_meta_graph, {}),
    "copy_meta_graph": (edits.copy_meta_graph, {"new_tags": _TEXTS}),
    "clear_devices": (edits.clear_devices, {}),
    "strip_default_attrs": (edits.strip_default_attrs, {}),
    "repair_two_truths": (edits.repair_two_truths, {}),
    "repair_captures": (edits.repair_captures, {}),
}
"""Edit → its function and its arguments in order, each with what it must be."""

STEP_EDITS: Mapping[str, tuple[Callable[..., SavedModel], Mapping[str, str]]] = {
    "add_wrapped_signature": (
        add_wrapped_signature,
        {
            "signature_key": _TEXT,
            "new_signature_key": _TEXT,
            "before": _STEP,
            "feeds": _NAMES,
            "after": _STEP,
            "takes": _NAMES,
            "outputs": _TEXTS,
            "method_name": _TEXT,
            "made_by": _CALL,
        },
    ),
}
"""The same for edits whose arguments hold functions that TensorFlow traced: people call what makes these functions."""

_OPTIONAL = {
    "add_signature": frozenset({"method_name"}),
    "add_signature_from_function": frozenset({"inputs", "outputs", "method_name"}),
    "add_wrapped_signature": frozenset({"before", "feeds", "after", "takes", "outputs", "method_name", "made_by"}),
}


def recipe(model: SavedModel) -> dict[str, Any]:
    """The edits that were made to a model since it was opened, as a recipe."""
    return {"recipe": RECIPE_VERSION, "edits": [dict(edit) for edit in model.edits]}


def apply_recipe(model: SavedModel, recipe: object, *, numeric_test: NumericTest | None = None) -> SavedModel:
    """Applies every edit of a recipe, or none.

    Args:
        model: The model.
        recipe: The recipe as data, as ``json.loads`` gives it.
        numeric_test: What ``set_input_shape`` needs where it widens a shape.

    Returns:
        The edited model.

    Raises:
        RecipeError: It is not well formed, or an edit doesn't fit this model; the sentence says which and why.
    """
    entries = recipe_edits(recipe)
    for number, entry in enumerate(entries, 1):
        try:
            model = apply_edit(model, entry, numeric_test=numeric_test)
        except RecipeError as error:
            raise RecipeError(f"edit {number} of the recipe: {error}") from None
        except ExplorerError as error:
            raise RecipeError(
                f"edit {number} of the recipe ({entry['edit']}) doesn't fit this model: {error}"
            ) from None
    return model


def recipe_edits(recipe: object) -> list[Mapping[str, Any]]:
    """The entries of a recipe, its frame checked.

    Raises:
        RecipeError: It is no recipe, or one of a version that isn't known here.
    """
    if not isinstance(recipe, Mapping) or "recipe" not in recipe:
        raise RecipeError('this is no recipe; one looks like {"recipe": 1, "edits": [{"edit": "rename_signature", …}]}')
    if recipe["recipe"] != RECIPE_VERSION or isinstance(recipe["recipe"], bool):
        raise RecipeError(f"recipes of version {recipe['recipe']!r} are not known here; version 1 is")
    if unknown := set(recipe) - {"recipe", "edits"}:
        raise RecipeError(f"a recipe has no {listed(sorted(map(str, unknown)))}; it has 'recipe' and 'edits'")
    entries = recipe.get("edits")
    if not isinstance(entries, list | tuple) or not all(isinstance(entry, Mapping) for entry in entries):
        raise RecipeError("the edits of a recipe must be a list of objects")
    if len(entries) > MOST_EDITS:
        raise RecipeError(f"a recipe has at most {MOST_EDITS} edits; this one has {len(entries)}")
    return list(entries)


def edit_name(entry: Mapping[str, Any]) -> str:
    """The edit that an entry names.

    Raises:
        RecipeError: There is no such edit.
    """
    name = entry.get("edit")
    if not isinstance(name, str) or (name not in EDITS and name not in STEP_EDITS):
        raise RecipeError(f"there is no edit {quoted(str(name))}; available: {listed(EDITS, len(EDITS))}")
    return name


def apply_edit(model: SavedModel, entry: Mapping[str, Any], *, numeric_test: NumericTest | None = None) -> SavedModel:
    """Applies one entry of a recipe.

    Args:
        model: The model.
        entry: The entry.
        numeric_test: What ``set_input_shape`` needs where it widens a shape.

    Raises:
        RecipeError: The entry is not well formed.
        ExplorerError: It cannot be applied to this model.
    """
    name = edit_name(entry)
    function, arguments = EDITS.get(name) or STEP_EDITS[name]
    given = {key: value for key, value in entry.items() if key not in ("edit", "tags")}
    if unknown := [str(key) for key in given if key not in arguments]:
        raise RecipeError(f"{name} takes no {listed(unknown)}; it takes {listed(arguments)}")
    missing = [key for key in arguments if key not in given and key not in _OPTIONAL.get(name, ())]
    if missing:
        raise RecipeError(f"{name} lacks {listed(missing)}")
    for key, value in given.items():
        if not _fits(value, arguments[key]):
            raise RecipeError(f"{key} of {name} must be {arguments[key]}")
    tags = entry.get("tags")
    if tags is not None and not _fits(tags, _TEXTS):
        raise RecipeError(f"tags of {name} must be {_TEXTS}")
    if name == "set_input_shape":
        given["numeric_test"] = numeric_test
    return function(model, **given, tags=tags)


def _fits(value: object, what: str) -> bool:
    if what == _VALUE:  # the edit itself compares it with the input's dtype
        return True
    if what == _TEXT:
        return isinstance(value, str)
    if what == _TEXTS:
        return isinstance(value, list | tuple | set | frozenset) and all(isinstance(item, str) for item in value)
    if what in (_STEP, _CALL):  # the edit itself reads a step
        return isinstance(value, Mapping)
    if what == _SHAPE:
        return value is None or isinstance(value, list | tuple)
    return isinstance(value, Mapping) and all(isinstance(item, str) for pair in value.items() for item in pair)
