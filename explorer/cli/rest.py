"""``rest``: what TensorFlow Serving would answer, to one request or to a line of requests."""

from __future__ import annotations

import argparse
import base64
import json
import sys
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from explorer.errors import UsageError, quoted

if TYPE_CHECKING:
    from explorer.runtime.rest import Rest
    from explorer.runtime.rest_api import RestAnswer

VERBS = ("predict", "classify", "regress", "metadata", "status")
"""What one request may ask for."""

_LINE_VERBS = VERBS[:-1]
_WITHOUT_BODY = ("metadata", "status")


def rest(options: argparse.Namespace) -> int:
    """Answers the request on standard input, or every line of it; saying so on the command line is consent.

    Returns:
        0 where the answer's status is 200 or every line was answered, else 1.

    Raises:
        UsageError: A line is no request, or there is neither a verb nor ``--jsonl``.
        SourceError: There is no SavedModel at the path.
    """
    if options.jsonl == (options.verb is not None):
        raise UsageError(f"give either a verb ({', '.join(VERBS)}) or --jsonl")
    from explorer.runtime.rest import rest as open_rest

    named: dict[str, Any] = {} if options.timeout is None else {"timeout_s": options.timeout}
    with open_rest(options.path, consent=True, name=options.name, version=options.version, **named) as server:
        if options.jsonl:
            _answer_lines(server, sys.stdin.buffer, sys.stdout.buffer)
            return 0
        body = b"" if options.verb in _WITHOUT_BODY else sys.stdin.buffer.read()
        answer = _answer(server, options.verb, body)
    sys.stdout.buffer.write(answer.body)
    sys.stdout.buffer.flush()
    print(f"HTTP {answer.status}", file=sys.stderr)
    return 0 if answer.status == 200 else 1


def _answer_lines(server: Rest, lines: IO[bytes], output: IO[bytes]) -> None:
    for verb, body in _requests(lines):
        answer = _answer(server, verb, body)
        told: dict[str, Any] = {"status": answer.status}
        try:
            told["answer"] = answer.body.decode("utf-8")
        except UnicodeDecodeError:
            told["answer_b64"] = base64.b64encode(answer.body).decode()
        output.write(json.dumps(told).encode() + b"\n")
        output.flush()  # whoever waits for an answer before the next request gets it


def _requests(lines: IO[bytes]) -> Iterator[tuple[str, bytes | str]]:
    """Verb and body of every line; empty lines are passed over.

    A body that isn't UTF-8 is written as ``{"b64": "…"}``.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            asked = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"line {number} isn't JSON ({error}); the lines before it are answered") from None
        if not isinstance(asked, dict):
            raise UsageError(f'line {number} isn\'t an object like {{"verb": "predict", "body": "…"}}')
        verb, body = asked.get("verb"), asked.get("body")
        if verb not in _LINE_VERBS:
            found = quoted(verb) if isinstance(verb, str) else "none"
            raise UsageError(f"line {number} asks for the verb {found}; available: {', '.join(_LINE_VERBS)}")
        if body is None and verb in _WITHOUT_BODY:
            body = ""
        if isinstance(body, dict) and body.keys() == {"b64"}:
            try:
                body = base64.b64decode(body["b64"], validate=True)
            except (ValueError, TypeError):
                raise UsageError(f"the body of line {number} isn't base64") from None
        if not isinstance(body, str | bytes):
            raise UsageError(f"line {number} has no body: it must be a text, the body as it would be sent")
        yield verb, body


def _answer(server: Rest, verb: str, body: bytes | str) -> RestAnswer:
    match verb:
        case "predict":
            return server.predict(body)
        case "classify":
            return server.classify(body)
        case "regress":
            return server.regress(body)
        case "metadata":
            return server.metadata()
        case _:
            return server.status()
