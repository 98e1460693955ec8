"""JavaScript with ``fetch``, for Node and, as a module, for a page."""

from __future__ import annotations

from explorer.serving.clients.request import REQUEST_FILE, ClientRequest
from explorer.serving.literals import fill, javascript_literal, raw_json

_SCRIPT = """
// Run: node client.mjs (Node 18 or newer). The same lines work in a page, in a script of type "module", where the
// server has the page's own origin or allows it by CORS.
«start»
«notes»
«body»

const response = await fetch(«url», {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body,
  signal: AbortSignal.timeout(60_000),
});
const answer = await response.text();
if (!response.ok) {
  throw new Error(`${response.status}: ${answer}`); // {"error": "..."}
}
console.log(answer); // JSON.parse(answer) makes an object of it, unless a number in it is NaN or infinite
"""

_FROM_FILE = f"""const body = await readFile("{REQUEST_FILE}", "utf8"); // the body lies beside this script;
// in a page: const body = await (await fetch("{REQUEST_FILE}")).text();"""


def code(request: ClientRequest) -> str:
    """The module."""
    notes = request.notes
    if request.is_long:
        start, body = 'import { readFile } from "node:fs/promises";\n', _FROM_FILE
    else:
        start, body = "", f"const body = String.raw`{raw_json(request.json)}`;"
        notes = [*notes, "JSON as text, because JSON.stringify writes 1.0 as 1 and rounds integers above 2^53."]
    return fill(
        _SCRIPT,
        start=start,
        notes="\n".join(f"// {note}" for note in notes),
        body=body,
        url=javascript_literal(request.url),
    )
