"""What every click is as code: a line of Python, a script, a recipe, a command line."""

from __future__ import annotations

import keyword
import math
import os
import shlex
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from explorer.editing.recipe import EDITS, RECIPE_VERSION, STEP_EDITS, edit_name
from explorer.errors import RecipeError, listed, printable_name

_KEYWORD_EDITS = frozenset({"add_signature", "add_signature_from_function"})
"""Edits whose arguments are named in Python, because their order is hard to remember."""

_DATA = frozenset({"value", "shape", "before", "after", "outputs", "made_by"})
"""Arguments that hold plain data: numbers, texts, True, False, None, and nested lists and mappings of them."""

_MAKERS = frozenset({"with_image", "with_base64", "with_example", "with_csv", "with_json"})
"""Functions that make steps, which stand in Python in the place of the edit with the steps themselves."""

_WRAPPED = "add_wrapped_signature"

_FLAGS = {"follow_outside_links": "--follow-links", "remove_duplicates": "--remove-duplicates"}
"""Arguments of ``export`` that the command line calls otherwise."""

Path = str | os.PathLike[str]


def python_line(edit: Mapping[str, Any], variable: str = "model") -> str:
    """Writes an edit as a line of Python: ``model = explorer.rename_signature(model, "a", "b")``.

    Args:
        edit: An entry of a recipe.
        variable: The name of the variable that holds the model.

    Returns:
        One line; ``tags={…}`` stands in it where the entry holds tags.

    Raises:
        RecipeError: There is no such edit, or an argument is no text, number, list or mapping.
    """
    name = edit_name(edit)
    if name == _WRAPPED:
        return _wrapped_line(edit, variable)
    named = name in _KEYWORD_EDITS
    parts = [variable]
    for argument in EDITS[name][1]:
        if argument not in edit:
            named = True  # what follows an argument that is left out needs its name
            continue
        value = python_value(edit[argument]) if argument in _DATA else _literal(edit[argument])
        parts.append(f"{argument}={value}" if named and argument != "signature_key" else value)
    if edit.get("tags") is not None:
        parts.append(f"tags={_literal(frozenset(edit['tags']))}")
    return f"{variable} = explorer.{name}({', '.join(parts)})"


def _wrapped_line(edit: Mapping[str, Any], variable: str) -> str:
    """The call that made the steps of a signature; where it isn't known, the recipe with the steps in it."""
    made_by = edit.get("made_by") or {}
    arguments = made_by.get("arguments")
    if made_by.get("function") not in _MAKERS or not isinstance(arguments, Mapping):
        entry = python_value({"recipe": RECIPE_VERSION, "edits": [_ordered(edit)]})
        return f"{variable} = explorer.apply_recipe({variable}, {entry})"
    given = {"new_signature_key": edit["new_signature_key"], **arguments}
    if edit.get("tags") is not None:
        given["tags"] = _sorted_texts(edit["tags"])
    if unsuited := [str(key) for key in given if not str(key).isidentifier() or keyword.iskeyword(str(key))]:
        raise RecipeError(f"{listed(unsuited)} can't be an argument")
    parts = [variable, _literal(edit["signature_key"]), *(f"{key}={python_value(item)}" for key, item in given.items())]
    return f"{variable} = explorer.{made_by['function']}({', '.join(parts)}).model"


def python_script(
    path: Path,
    version: int | None,
    edits: Iterable[Mapping[str, Any]],
    base_path: Path | None = None,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> str:
    """Writes a whole script: open, edit, export.

    Args:
        path: What to open.
        version: Which version of it; None takes what ``open_saved_model`` takes.
        edits: Entries of a recipe, oldest first.
        base_path: Where to export to; None leaves the export out.
        options: The arguments of the export that were chosen: numbers, texts, True and False.

    Returns:
        Python source that ends with a newline.

    Raises:
        RecipeError: An entry is not well formed.
    """
    chosen = "" if version is None else f", version={version}"
    lines = ["import explorer", "", f"model = explorer.open_saved_model({_literal(os.fspath(path))}{chosen})"]
    lines += [python_line(edit) for edit in edits]
    if base_path is not None:
        named = [
            f", {name}={python_text(value) if isinstance(value, str) else value}" for name, value in options.items()
        ]
        lines.append(f"print(explorer.export(model, {_literal(os.fspath(base_path))}{''.join(named)}))")
    return "\n".join(lines) + "\n"


def recipe_json(edits: Iterable[Mapping[str, Any]]) -> str:
    """Writes edits as the recipe file that ``python -m explorer edit --recipe`` reads.

    Returns:
        Pretty JSON in ASCII, arguments in the order of the functions, that ends with a newline; the same edits give
        the same text.

    Raises:
        RecipeError: An entry is not well formed.
    """
    import json

    entries = [_ordered(edit) for edit in edits]
    return json.dumps({"recipe": RECIPE_VERSION, "edits": entries}, indent=2) + "\n"


def command_line(
    path: Path, recipe_file: Path, base_path: Path, options: Mapping[str, Any] = MappingProxyType({})
) -> str:
    """Writes the command that applies a recipe and exports, as one line for a POSIX shell; options as for Python."""
    chosen = [
        _FLAGS.get(name, f"--{name}") + ("" if value is True else f" {shlex.quote(str(value))}")
        for name, value in options.items()
        if value is not False
    ]
    return " ".join(
        (
            f"python -m explorer edit {_shell_path(path)}",
            f"--recipe {_shell_path(recipe_file)} --export {_shell_path(base_path)}",
            *chosen,
        )
    )


def python_text(text: str) -> str:
    r"""A text as a Python literal in double quotes, its invisible characters as ``\u…`` escapes.

    ``repr`` would do but for names that it leaves as they are and nobody can see, and for its changing quotes.
    """
    return '"' + "".join(map(_python_character, text)) + '"'


def _python_character(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    named = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character)
    if named is not None:
        return named
    if character.isprintable() and printable_name(character) == character:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _literal(value: object) -> str:
    if isinstance(value, str):
        return python_text(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_literal(key)}: {_literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        items = _sorted_texts(value)
        return "{" + ", ".join(map(python_text, items)) + "}" if items else "set()"
    raise RecipeError(f"a {type(value).__name__} cannot stand in an edit; texts, lists and mappings of texts can")


def python_value(value: object) -> str:
    """Numbers, texts and nested lists as Python source, without numpy: what has no literal is made by ``float``."""
    if isinstance(value, str):
        return python_text(value)
    if value is None or isinstance(value, bool | int | bytes):
        return repr(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else f'float("{value}")'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{python_value(key)}: {python_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(python_value, value)) + "]"
    raise RecipeError(f"a {type(value).__name__} cannot stand in an edit; numbers, texts and lists of them can")


def _ordered(edit: Mapping[str, Any]) -> dict[str, Any]:
    """An entry as plain data: ``edit``, ``tags``, then its arguments in the order of the function."""
    name = edit_name(edit)
    entry: dict[str, Any] = {"edit": name}
    if edit.get("tags") is not None:
        entry["tags"] = _sorted_texts(edit["tags"])
    for argument in (EDITS.get(name) or STEP_EDITS[name])[1]:
        if argument in edit:
            entry[argument] = _plain_data(edit[argument]) if argument in _DATA else _plain(edit[argument])
    return entry


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, str):
        return value
    if isinstance(value, Iterable) and not isinstance(value, bytes):
        return _sorted_texts(value)
    raise RecipeError(f"a {type(value).__name__} cannot stand in a recipe; texts, lists and mappings of texts can")


def _plain_data(value: object) -> Any:
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_data(item) for item in value]
    raise RecipeError(f"a {type(value).__name__} cannot stand in a recipe; numbers, texts and lists of them can")


def _sorted_texts(values: Iterable[object]) -> list[str]:
    texts = list(values)
    if not all(isinstance(text, str) for text in texts):
        raise RecipeError("the tags of an edit must be texts")
    return sorted({str(text) for text in texts})


def _shell_path(path: Path) -> str:
    text = os.fspath(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)
