"""``request``: an example request body."""

from __future__ import annotations

import argparse

from explorer.cli.printing import tag_list


def request(options: argparse.Namespace) -> None:
    """Prints an example request body."""
    from explorer.savedmodel.opening import open_saved_model
    from explorer.serving.bodies import request_body

    model = open_saved_model(options.path, options.version)
    tags = None if options.tags is None else tag_list(options.tags)
    print(request_body(model, options.signature, tags=tags, format=options.format))
