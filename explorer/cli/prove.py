"""``prove``: two versions run on the same inputs, in a child process."""

from __future__ import annotations

import argparse

from explorer.cli.edit import DIFFERS
from explorer.cli.printing import print_text, tag_list
from explorer.errors import UsageError


def prove(options: argparse.Namespace) -> int:
    """Prints who loads two versions and how far their answers differ; the exit status says whether they agree."""
    if not options.allow_running:
        raise UsageError("this runs the code in both models, in a child process; say --allow-running to allow that")
    from explorer.runtime.proof import prove as run_both

    tags = None if options.tags is None else tag_list(options.tags)
    proof = run_both(options.path, options.other, consent=True, tags=tags)
    if options.json:
        import json

        print(json.dumps(proof.to_dict(), indent=2))
    else:
        from explorer.render.proofs import proof_text

        print_text(proof_text(proof))
    return 0 if proof.holds else DIFFERS
