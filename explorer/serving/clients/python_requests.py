"""Python with the ``requests`` package."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from explorer.serving.clients.request import REQUEST_FILE, ClientRequest
from explorer.serving.literals import fill, python_literal

_SCRIPT = """
# Run: python client.py (needs: pip install requests)
«imports»

import requests

«notes»
«body»

response = requests.post(
    «url»,
    «argument»
    timeout=60,
)
if not response.ok:
    sys.exit(response.text)  # {"error": "..."}
print(response.text)  # response.json() is the same as Python data
"""

_FROM_FILE = f"""with open("{REQUEST_FILE}", "rb") as file:  # the body lies beside this script
    body = file.read()"""

_HEADERS = 'headers={"Content-Type": "application/json"},'


def code(request: ClientRequest) -> str:
    """The script."""
    imports, argument = "import sys", "json=body,"
    if request.is_long:
        body, argument = _FROM_FILE, f"data=body,\n{_HEADERS}"
    else:
        data = request.data
        body = f"body = {python_literal(data)}"
        if not _is_finite(data):
            imports = "import json\nimport math\nimport sys"
            argument = (
                f"data=json.dumps(body),  # json=body refuses NaN and infinity; the server reads them\n{_HEADERS}"
            )
    return fill(
        _SCRIPT,
        imports=imports,
        notes="\n".join(f"# {note}" for note in request.notes),
        body=body,
        url=python_literal(request.url),
        argument=argument,
    )


def _is_finite(value: Any) -> bool:
    """Whether no number in nested data is NaN or infinite."""
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list):
        return not isinstance(value, float) or math.isfinite(value)
    return all(_is_finite(item) for item in value)
