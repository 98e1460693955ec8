"""Classes and functions of somebody's own that a Keras file names: where they are defined, as text for a child.

``package.module:Name`` names something in a module that can be imported, ``/folder/layers.py:Name`` something in a
file. Only the child process imports them.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from explorer.errors import ConversionError, quoted

_NAME = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*\Z")
_ENDING = ".py"
_FORMS = "module:Name or file.py:Name"


def named(objects: Mapping[str, object]) -> dict[str, str]:
    """Says where custom objects are defined.

    Args:
        objects: Name in the Keras file → ``module:Name``, ``file.py:Name``, or the class or function itself where its
            module can be imported.

    Returns:
        Name → ``module:Name`` or the absolute path of a file and a name in it.

    Raises:
        ConversionError: One of them can't be found again by a text: it was defined in a notebook, in a function, or
            the text has another form.
    """
    return {
        str(name): _checked(name, value) if isinstance(value, str) else _place(name, value)
        for name, value in objects.items()
    }


def search_paths() -> list[str]:
    """Where this process finds modules, for a child that has to find the same ones."""
    return [os.path.abspath(path) for path in sys.path]


def import_objects(places: Mapping[str, str], paths: Sequence[str] = ()) -> dict[str, Any]:
    """Imports custom objects: what is at the places is run. For a child process.

    Args:
        places: What :func:`named` gave.
        paths: Where modules are looked for besides.

    Raises:
        ConversionError: There is no such module, file or name, or it fails to run.
    """
    sys.path.extend(path for path in paths if path not in sys.path)
    found = {}
    for name, place in places.items():
        where, _, attribute = place.rpartition(":")
        try:
            value: Any = _from_file(Path(where)) if where.endswith(_ENDING) else importlib.import_module(where)
            for part in attribute.split("."):
                value = getattr(value, part)
        except Exception as error:  # the code is somebody's own and may raise anything
            raise ConversionError(
                f"the custom object {quoted(name)} can't be imported from {quoted(place)}: {type(error).__name__}: "
                f"{' '.join(str(error).split())}"
            ) from None
        found[name] = value
    return found


def _checked(name: str, place: str) -> str:
    where, _, attribute = place.rpartition(":")
    if not where or not _NAME.match(attribute):
        raise ConversionError(f"the custom object {quoted(name)} is given as {quoted(place)}; write {_FORMS}")
    if where.endswith(_ENDING):
        file = Path(where).expanduser().absolute()
        if not file.is_file():
            raise ConversionError(
                f"the custom object {quoted(name)} is said to be in {quoted(where)}, which is no file"
            )
        return f"{file}:{attribute}"
    if not _NAME.match(where):
        raise ConversionError(f"the custom object {quoted(name)} is given as {quoted(place)}; write {_FORMS}")
    return place


def _place(name: str, value: object) -> str:
    """Where a class or a function is defined, if it is found there again."""
    module, path = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(path, str):
        raise ConversionError(
            f"the custom object {quoted(name)} is neither a class nor a function; give one, or write {_FORMS}"
        )
    instead = (
        "put it into a .py file and give file.py:Name, or build the model here and hand the model itself over as the "
        "source"
    )
    if module == "__main__":
        raise ConversionError(
            f"the custom object {quoted(name)} is defined in this notebook or script, where the child process that "
            f"builds the model can't find it: {instead}"
        )
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    if found is not value or not _NAME.match(module) or not _NAME.match(path):
        raise ConversionError(
            f"the custom object {quoted(name)} isn't found as {quoted(path)} in the module {quoted(module)}, where it "
            f"says that it is: {instead}"
        )
    return f"{module}:{path}"


def _from_file(file: Path) -> ModuleType:
    """Runs a file as a module of its own name, so that what it registers is found under that."""
    for module in tuple(sys.modules.values()):
        if getattr(module, "__file__", None) == str(file):
            return module
    if str(file.parent) not in sys.path:  # for what it imports from beside it
        sys.path.append(str(file.parent))
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(file.stem, module)
    spec.loader.exec_module(module)
    return module
