"""``convert``: a source told what it is, or turned into a new version."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from explorer.cli.printing import print_text

DIFFERS = 3
"""The exit status where what was written answers otherwise than its source."""


def convert(options: argparse.Namespace) -> int:
    """Says what a source is, or exports it; the last line that is printed is the folder."""
    from explorer.converting.pairs import parse_pairs, parse_values
    from explorer.converting.source import find_source
    from explorer.render.sources import candidates_text, layers_table, source_sentence, source_text
    from explorer.render.text import table_text

    if options.export is None:
        from explorer.runtime.looking import look

        looked = look(options.source, options.graph, options.architecture)
        print_text(source_text(looked.source))
        if looked.candidates is not None:
            print_text(f"\n{candidates_text(looked.candidates)}")
        elif looked.layers:
            print_text(f"\n{table_text(layers_table(looked.layers))}")
        told = (looked.source.problem, *(need.sentence for need in looked.source.needs))
        if looked.refusal and not any(sentence and sentence in looked.refusal for sentence in told):
            print_text(f"\n{looked.refusal}")
        return 0
    print_text(source_sentence(find_source(options.source)))
    from explorer.runtime.convert import TIMEOUT_S, convert_version

    said: dict[str, Any] = {
        "inputs": parse_pairs(options.inputs, "an input") or None,
        "outputs": parse_pairs(options.outputs, "an output") or None,
        "constants": parse_values(options.constants) or None,
        "signature_key": options.signature,
        "endpoints": parse_pairs(options.endpoints, "an endpoint", bare=False) or None,
        "graph": options.graph,
        "architecture": options.architecture,
        "custom_objects": parse_pairs(options.custom_objects, "a class", bare=False) or None,
    }
    published, prepared = convert_version(
        options.source,
        options.export,
        **said,
        version=options.version,
        consent=True,  # whoever writes the command wants it done
        timeout_s=TIMEOUT_S if options.timeout is None else options.timeout,
    )
    for reason in prepared.reasons:
        print_text(reason)
    for note in published.notes:
        print_text(f"note: {note}")
    status = _proof(options.source, published.path, said) if options.prove else 0
    print(published.path)
    return status


def _proof(source: str, path: Path, said: Mapping[str, Any]) -> int:
    """Runs source and result on the same inputs and prints what came of it; the status that it gives."""
    from explorer.render.proofs import proof_text
    from explorer.runtime.source_proof import prove_conversion

    proof = prove_conversion(source, path, consent=True, **said)
    print_text(proof_text(proof) + "\n")
    return 0 if proof.holds else DIFFERS
