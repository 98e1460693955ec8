"""A proof as tables, text, HTML and a DataFrame: who loads the two models, and how far their answers differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from explorer.errors import printable_name, quoted
from explorer.render.tables import Cell, Table
from explorer.render.text import table_text

if TYPE_CHECKING:
    import pandas as pd

    from explorer.diagnosing.proof import OutputProof, Proof, SignatureProof


def loaders_table(proof: Proof) -> Table:
    """Who loads the old and the new model, one loader a row."""
    rows = tuple(
        (loading.loader, _loaded(loading.before), _loaded(loading.after), loading.after or loading.before or None)
        for loading in proof.loaders
    )
    if proof.source:
        rows = tuple(
            (loading.loader, "doesn't run" if loading.before else "runs", *row[2:])
            for loading, row in zip(proof.loaders, rows, strict=True)
        )
    columns = ("loader", "source", "after", "message") if proof.source else ("loader", "before", "after", "message")
    return Table("Who loads it?", columns, rows)


def outputs_table(proof: Proof) -> Table:
    """How far each output differs in each loader, one a row; a signature that wasn't compared is one row too."""
    rows: list[tuple[Cell, ...]] = []
    for signature in proof.signatures:
        key = _change(signature.before_key, signature.after_key)
        loader = signature.loader or None
        for output in signature.outputs:
            shown = _change(output.before_key, output.after_key)
            rows.append((key, shown, loader, printable_difference(output), output.note or None))
        if signature.note or not signature.outputs:
            rows.append((key, None, loader, _state(signature), signature.note or None))
    columns = ("signature", "output", "loader", "largest_difference", "message")
    return Table("Do they answer the same?", columns, tuple(rows))


def proof_sentence(proof: Proof) -> str:
    """What a proof says, in a sentence or two."""
    if proof.source:
        return _conversion_sentence(proof)
    refusing = [loading.loader for loading in proof.loaders if not loading.holds]
    failed = [signature for signature in proof.signatures if signature.state == "failed"]
    count = len(proof.compared)
    if refusing:
        return f"The new model is refused by {', '.join(refusing)}, which loads the old one."
    if failed:
        key = _change(failed[0].before_key, failed[0].after_key)
        return f"The new model doesn't answer as {key} where the old one does."
    if not all(output.holds(proof.tolerance) for output in proof.compared):
        return "The new model loads, and some of its answers differ from the old one's."
    if not count:
        return "The new model loads wherever the old one does; no output could be compared."
    varying = sum(output.varies for output in proof.compared)
    loads = "The new model loads wherever the old one does"
    same = count - varying
    if not same:
        return f"{loads}; its outputs can't be compared, because the old one answers differently each time."
    return f"{loads}; {_compared(proof, same)}"


def _conversion_sentence(proof: Proof) -> str:
    """What the proof of a conversion says."""
    refusing = [loading.loader for loading in proof.loaders if loading.after]
    if refusing:
        return f"The SavedModel is refused by {', '.join(refusing)}."
    failed = next((signature for signature in proof.signatures if signature.state == "failed"), None)
    if failed is not None:
        key = _change(failed.before_key, failed.after_key)
        return f"The SavedModel doesn't answer as {key} where the source does."
    if not all(output.holds(proof.tolerance) for output in proof.compared):
        return "The SavedModel loads, and some of its answers differ from the source's."
    loads = "Every loader takes the SavedModel"
    refused = next((loading.before for loading in proof.loaders if loading.before), "")
    if refused:
        return f"{loads}; no answer could be compared, because {refused}."
    same = sum(not output.varies for output in proof.compared)
    if not proof.compared:
        return f"{loads}; no output could be compared."
    if not same:
        return f"{loads}; its outputs can't be compared, because the source answers differently each time."
    return f"{loads}; {_compared(proof, same)}"


def _compared(proof: Proof, count: int) -> str:
    what = f"{count} answer{'' if count == 1 else 's'}"
    if all(output.equal_bits or output.varies for output in proof.compared):
        return f"{what} compared, all the same to the last bit."
    return f"{what} compared, the largest difference is {proof.largest_difference:g}."


def proof_text(proof: Proof) -> str:
    """A proof as aligned text: the sentence, who loads the models, the outputs."""
    parts = [
        proof_sentence(proof),
        *filter(None, [sides_sentence(proof)]),
        table_text(loaders_table(proof)),
        table_text(outputs_table(proof)),
    ]
    if note := network_note(proof):
        parts.append(note)
    return "\n\n".join(parts)


def proof_html(proof: Proof) -> str:
    """A proof as a piece of HTML that brings its style along."""
    from explorer.render.html import page, table_element
    from explorer.render.markup import element

    verdict = element("strong", "holds" if proof.holds else "doesn't hold")
    summary = element("p", "The proof ", verdict, f". {proof_sentence(proof)}")
    note, sides = network_note(proof), sides_sentence(proof)
    return page(
        summary,
        element("p", sides, class_="sme-note") if sides else None,
        table_element(loaders_table(proof)),
        table_element(outputs_table(proof)),
        element("p", note, class_="sme-note") if note else None,
    )


def proof_frame(proof: Proof) -> pd.DataFrame:
    """The outputs of a proof, one a row for each loader; ``largest_difference`` is a number here, or NaN."""
    import pandas as pd

    rows = [
        {
            "before_signature": signature.before_key,
            "after_signature": signature.after_key,
            "loader": signature.loader,
            "before_output": output.before_key,
            "after_output": output.after_key,
            "compared": output.compared,
            "equal_bits": output.equal_bits,
            "largest_difference": output.largest_difference,
            "relative_difference": output.relative_difference,
            "note": output.note,
        }
        for signature in proof.signatures
        for output in signature.outputs
    ]
    frame = pd.DataFrame(rows, columns=list(_FRAME_COLUMNS))
    numbers = {"largest_difference": "float64", "relative_difference": "float64"}
    return frame.astype({**numbers, "compared": "bool", "equal_bits": "bool"})


_FRAME_COLUMNS = (
    "before_signature", "after_signature", "loader", "before_output", "after_output", "compared", "equal_bits",
    "largest_difference", "relative_difference", "note",
)  # fmt: skip


def printable_difference(output: OutputProof) -> str:
    """The largest difference of an output as people read it: ``0``, ``1.2e-07``, ``not compared``."""
    if not output.compared:
        return "not compared"
    if output.equal_bits:
        return "0"
    if output.largest_difference is None:
        return "differs"
    return f"{output.largest_difference:.2g}" if output.largest_difference else "0 (other bits)"


def sides_sentence(proof: Proof) -> str:
    """What was compared with what, where that is a source and a SavedModel made of it; else an empty text."""
    if not proof.source:
        return ""
    return f"{quoted(proof.before)} {proof.source}; {quoted(proof.after)} is the SavedModel made of it."


def network_note(proof: Proof) -> str:
    """What is to be said where the models could have reached the network while they ran; else an empty text."""
    return f"Note: {proof.network}." if proof.network not in ("", "off") else ""


def _state(signature: SignatureProof) -> str:
    return "fails" if signature.state == "failed" else "not compared"


def _loaded(error: str) -> str:
    return "refuses it" if error else "loads it"


def _change(before: str | None, after: str | None) -> str:
    shown = [printable_name(key) if key else '""' for key in (before, after) if key is not None]
    return " → ".join(dict.fromkeys(shown))
