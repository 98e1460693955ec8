"""``request``: a request to a signature, with example values or given ones."""

from __future__ import annotations

import argparse
import sys

from explorer.cli.printing import print_text, tag_list

_NAMES = {"classify": "classify", "regress": "regress", "grpc": "grpc_text", "grpc-bytes": "grpc", "kserve": "kserve"}
"""What ``--protocol`` says → the name in ``Requests``."""


def request(options: argparse.Namespace) -> None:
    """Prints a request."""
    from explorer.savedmodel.opening import open_saved_model

    model = open_saved_model(options.path, options.version)
    tags = None if options.tags is None else tag_list(options.tags)
    if options.protocol == "rest" and options.example == "zeros" and options.batch is None:
        from explorer.serving.bodies import request_body

        print(request_body(model, options.signature, tags=tags, format=options.format, values=options.values))
        return
    from explorer.serving.requests import requests

    made = requests(
        model, options.signature, tags=tags, values=options.values, kind=options.example, batch=options.batch
    )
    found = made[_NAMES.get(options.protocol) or (f"rest_{options.format}" if options.format else made.fitting[0])]
    if found.problem:
        from explorer.errors import RequestError

        raise RequestError(found.problem)
    for note in made.notes:
        print(f"explorer: {note}", file=sys.stderr)
    if isinstance(found.content, bytes):
        sys.stdout.buffer.write(found.content)
    else:
        print_text(found.content.rstrip("\n"))
