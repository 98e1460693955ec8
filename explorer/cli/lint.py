"""``lint``: what is wrong with a request body, and the body that works."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from explorer.cli.printing import print_text, tag_list
from explorer.errors import printable_name

if TYPE_CHECKING:
    from explorer.serving.lint import LintResult

_LONGEST_SENTENCE = 2000


def lint(options: argparse.Namespace) -> int:
    """Looks at the body on standard input.

    Returns:
        0 where nothing is wrong with it, 1 where there is an error or a warning.

    Raises:
        SourceError: There is no SavedModel at the path.
        NotFoundError: It has no such meta graph or signature.
    """
    from explorer.savedmodel.opening import open_saved_model
    from explorer.serving.lint import lint as lint_body

    model = open_saved_model(options.path, options.version)
    tags = None if options.tags is None else tag_list(options.tags)
    body = sys.stdin.buffer.read()
    found = lint_body(body, model, verb=options.verb, signature_key=options.signature, tags=tags)
    if options.json:
        import json

        print(json.dumps(found.to_dict(), indent=2))
    elif options.fix:
        _print_fix(found)
    else:
        _print_findings(found)
    return 0 if found.ok else 1


def _print_fix(found: LintResult) -> None:
    """Only the corrected body on standard output; everything else on standard error."""
    for finding in found.findings:
        _tell(str(finding))
    if found.corrected is None:
        _tell(f"there is no corrected body: {found.reason}")
        return
    sys.stdout.buffer.write(found.corrected.encode("utf-8") + b"\n")
    sys.stdout.buffer.flush()
    for body in found.more_bodies:
        _tell(f"send beside it: {body}")


def _print_findings(found: LintResult) -> None:
    for finding in found.findings:
        print_text(printable_name(str(finding), _LONGEST_SENTENCE))
    if found.status is not None:
        sentence = found.server_sentence.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        print_text(f"the server answers {found.status}: {printable_name(sentence, _LONGEST_SENTENCE)}")
    if not found.findings:
        print_text("nothing is wrong with the body")
    elif found.corrected is None:
        print_text(f"there is no corrected body: {found.reason}")
    elif found.changes:
        for change in found.changes:
            print_text(f"corrected: {printable_name(change, _LONGEST_SENTENCE)}")
        print_text(f"\n{found.corrected}")
        for body in found.more_bodies:
            print_text(f"\nand in a request of its own:\n{body}")


def _tell(line: str) -> None:
    text = printable_name(line, _LONGEST_SENTENCE)
    try:
        print(text, file=sys.stderr)
    except UnicodeEncodeError:
        print(text.encode("ascii", "backslashreplace").decode(), file=sys.stderr)
