"""What a conversion is told, as arguments and as code: Python, and a command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from explorer.converting.pairs import printed_pairs
from explorer.render.code import python_text, python_value
from explorer.savedmodel.constants import DEFAULT_SIGNATURE_KEY
from explorer.state.lines import Lines
from explorer.state.python_calls import as_path, command, python_call

_PAIRS = ("inputs", "outputs", "constants", "endpoints", "custom_objects")
_PATHS = ("graph", "architecture")


@dataclass(frozen=True, slots=True)
class Said:
    """What a person says about a source; empty for what is worked out.

    Attributes:
        inputs: Input key → tensor.
        outputs: Output key → tensor.
        constants: Placeholder → value.
        signature_key: The key of the signature.
        endpoints: Signature key → layer.
        graph: The path of a GraphDef.
        architecture: The path of what has the same variables.
        custom_objects: Class name → where it is defined.
    """

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    constants: Mapping[str, Any]
    signature_key: str
    endpoints: Mapping[str, str]
    graph: str
    architecture: str
    custom_objects: Mapping[str, str]

    def arguments(self) -> dict[str, Any]:
        """As arguments of the conversion and of its proof."""
        return {name: getattr(self, name) or None for name in (*_PAIRS, "signature_key", *_PATHS)}

    def lines(self, path: str, base: str, needs_consent: bool) -> Lines:
        """The conversion as code.

        Args:
            path: The source.
            base: The base path to export to.
            needs_consent: Whether it runs Keras.
        """
        arguments = [python_text(path), python_text(base), *self._named()]
        if needs_consent:
            arguments.append("consent=True")
        words = ["convert", as_path(path), "--export", as_path(base)]
        for name in _PAIRS:
            if value := getattr(self, name):
                words += [f"--{name.replace('_', '-')}", *_words(value)]
        if self.signature_key != DEFAULT_SIGNATURE_KEY:
            words += ["--signature", self.signature_key]
        for name in _PATHS:
            if value := getattr(self, name):
                words += [f"--{name}", as_path(value)]
        return Lines(python_call("explorer.convert", arguments), command(words))

    def proof_line(self, path: str, written: str) -> str:
        """The proof as a line of Python.

        Args:
            path: The source.
            written: The folder of the version.
        """
        arguments = [python_text(path), python_text(written), *self._named(), "consent=True"]
        return f"print({python_call('explorer.prove_conversion', arguments)})"

    def _named(self) -> list[str]:
        found = [f"{name}={python_value(value)}" for name in _PAIRS if (value := getattr(self, name))]
        if self.signature_key != DEFAULT_SIGNATURE_KEY:
            found.append(f"signature_key={python_text(self.signature_key)}")
        return found + [f"{name}={python_text(value)}" for name in _PATHS if (value := getattr(self, name))]


def _words(pairs: Mapping[str, Any]) -> list[str]:
    import shlex

    return shlex.split(printed_pairs(pairs))
