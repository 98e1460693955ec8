"""A shell script around ``curl``, which sends the body from a here-document."""

from __future__ import annotations

from explorer.serving.clients.request import REQUEST_FILE, ClientRequest
from explorer.serving.literals import fill, shell_literal

# No line of a body can be the word that ends the here-document: each starts with a blank, a bracket or a brace.
_SCRIPT = """
#!/bin/sh
# Run: sh client.sh (curl 7.76 or newer). The answer goes to standard output, the server's error too; then the exit
# status isn't 0.
«notes»
curl --silent --show-error --fail-with-body --globoff --max-time 60 \\
  --header 'Content-Type: application/json' --data-binary «data» \\
  «url»«here»
«body»
"""


def code(request: ClientRequest) -> str:
    """The script."""
    notes = [f"# {REQUEST_FILE} beside this script is the body."] if request.is_long else []
    return fill(
        _SCRIPT,
        notes="\n".join(notes + [f"# {note}" for note in request.notes]),
        data=f"@{REQUEST_FILE}" if request.is_long else "@-",
        url=shell_literal(request.url),
        here="" if request.is_long else " <<'END'",
        body="" if request.is_long else f"{request.json}\nEND",
    )
