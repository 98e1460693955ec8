"""The verbs of TensorFlow Serving's REST API as methods, whoever answers them."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from explorer.errors import RequestError
from explorer.runtime.rest_api import RestAnswer

Body = bytes | str | Mapping[str, Any] | Sequence[Any]
"""A request body: as it is sent, or a value of which JSON is made."""


class RestVerbs(ABC):
    """Asks a model by REST.

    Attributes:
        name: Under which name the model is asked for.
    """

    name: str

    @abstractmethod
    def request(
        self, method: str, target: str, body: Body = b"", headers: Mapping[str, str] | None = None
    ) -> RestAnswer:
        """Sends any request and gives the answer."""

    def predict(self, body: Body, *, version: int | None = None, label: str | None = None) -> RestAnswer:
        """POST ``…:predict``.

        Args:
            body: The request body: bytes or text as they are sent, or a value of which JSON is made.
            version: The version to ask; None for the one that is served by default.
            label: A label instead of a version.

        Returns:
            The answer, errors included.

        Raises:
            RequestError: JSON can't be made of the body.
            RunError: Nobody can answer: there was no consent to run the model, or the server can't be reached.
        """
        return self.request("POST", self._target(version, label) + ":predict", body)

    def classify(self, body: Body, *, version: int | None = None, label: str | None = None) -> RestAnswer:
        """POST ``…:classify``; arguments and errors as for :meth:`predict`."""
        return self.request("POST", self._target(version, label) + ":classify", body)

    def regress(self, body: Body, *, version: int | None = None, label: str | None = None) -> RestAnswer:
        """POST ``…:regress``; arguments and errors as for :meth:`predict`."""
        return self.request("POST", self._target(version, label) + ":regress", body)

    def metadata(self, *, version: int | None = None, label: str | None = None) -> RestAnswer:
        """GET ``…/metadata``: the signatures."""
        return self.request("GET", self._target(version, label) + "/metadata")

    def status(self, *, version: int | None = None) -> RestAnswer:
        """GET of the model: how its versions fare."""
        return self.request("GET", self._target(version, None))

    def _target(self, version: int | None, label: str | None) -> str:
        target = f"/v1/models/{_encoded(self.name)}"
        if label is not None:
            return f"{target}/labels/{_encoded(label)}"
        return target if version is None else f"{target}/versions/{version}"


def body_bytes(body: Body) -> bytes:
    """A request body as it is sent.

    Raises:
        RequestError: JSON can't be made of it.
    """
    if isinstance(body, bytes | bytearray):
        return bytes(body)
    if isinstance(body, str):
        return _utf8(body)
    try:
        return json.dumps(body).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestError(
            f"JSON can't be made of the body: {error}; numpy arrays become lists by .tolist(), bytes {{'b64': …}}"
        ) from None


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # surrogates that stand for no byte, as an escape in a JSON text leaves them
        return text.encode("utf-8", "surrogatepass")


def _encoded(name: str) -> str:
    return quote(_utf8(name), safe="")
