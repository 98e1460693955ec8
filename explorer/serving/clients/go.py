"""Go with its standard library."""

from __future__ import annotations

from explorer.serving.clients.request import REQUEST_FILE, ClientRequest
from explorer.serving.literals import fill, go_literal, raw_json

_PROGRAM = """
// Run: go run client.go
package main

import (
	«imports»
)

const url = «url»

«notes»
«body»

func main() {
	«read»
	client := http.Client{Timeout: time.Minute}
	response, err := client.Post(url, "application/json", «reader»)
	if err != nil {
		fail(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		fail(err)
	}
	if response.StatusCode != http.StatusOK {
		fail(string(answer)) // {"error": "..."}
	}
	fmt.Println(string(answer)) // encoding/json reads it, unless a number in it is NaN or infinite
}

func fail(reason any) {
	fmt.Fprintln(os.Stderr, reason)
	os.Exit(1)
}
"""

_FROM_FILE = f"""body, err := os.ReadFile("{REQUEST_FILE}") // the body lies beside this program
if err != nil {{
	fail(err)
}}"""


def code(request: ClientRequest) -> str:
    """The program."""
    package = "bytes" if request.is_long else "strings"
    packages = sorted(["fmt", "io", "net/http", "os", "time", package])
    return fill(
        _PROGRAM,
        imports="\n".join(f'"{name}"' for name in packages),
        url=go_literal(request.url),
        notes="\n".join(f"// {note}" for note in request.notes),
        body="" if request.is_long else f"const body = `{raw_json(request.json)}`",
        read=_FROM_FILE if request.is_long else "",
        reader=f"{package}.NewReader(body)",
    )
