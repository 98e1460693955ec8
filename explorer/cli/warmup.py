"""``warmup``: a new version whose warm-up file holds request bodies that were read from standard input."""

from __future__ import annotations

import argparse
import sys


def warmup(options: argparse.Namespace) -> None:
    """Exports the version; the last line that is printed is its folder."""
    from explorer.runtime.write_warmup import write_warmup
    from explorer.savedmodel.opening import open_saved_model

    model = open_saved_model(options.path)
    bodies = [line for line in sys.stdin.buffer.read().splitlines() if line.strip()]
    published = write_warmup(model, options.export, bodies, verb=options.verb, consent=True, keep=not options.replace)
    print(f"{len(bodies)} record{'' if len(bodies) == 1 else 's'} written, each of them answered by the new version")
    print(published.path)
