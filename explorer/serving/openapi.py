"""An OpenAPI 3.1 document of TensorFlow Serving's REST API for one model, from which other tools make clients."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from explorer.errors import RequestError, printable_name, quoted
from explorer.savedmodel.model import MetaGraph, SavedModel, Signature
from explorer.serving.bodies import rest_path
from explorer.serving.requests import requests
from explorer.serving.schemas import Schema, checked_verb, definitions, request_part, response_part
from explorer.serving.snippets import DEFAULT_HOST, served_name

COMPONENTS: Final = "#/components/schemas/"
"""Where an OpenAPI document keeps its schemas."""

_NO_WORD = re.compile(r"[^A-Za-z0-9_.-]+")
_PURPOSES = {
    "predict": "Runs a signature on tensors",
    "classify": "Classifies tf.Examples",
    "regress": "Gives a number for each of some tf.Examples",
}
_ERRORS = {
    "400": "the body doesn't fit the signature, or the model refuses its values",
    "404": "there is no such model or version",
    "default": "the server failed",
}
_STATUS: Final[Schema] = {
    "type": "object",
    "properties": {
        "model_version_status": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "version": {"type": "string", "pattern": "^-?[0-9]+$"},
                    "state": {"enum": ["UNKNOWN", "START", "LOADING", "AVAILABLE", "UNLOADING", "END"]},
                    "status": {
                        "type": "object",
                        "properties": {"error_code": {"type": "string"}, "error_message": {"type": "string"}},
                        "required": ["error_code", "error_message"],
                    },
                },
                "required": ["version", "state", "status"],
            },
        }
    },
    "required": ["model_version_status"],
}
_METADATA: Final[Schema] = {
    "type": "object",
    "properties": {
        "model_spec": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "signature_name": {"type": "string"},
                "version": {"type": "string", "pattern": "^-?[0-9]+$"},
            },
            "required": ["name", "signature_name", "version"],
        },
        "metadata": {
            "type": "object",
            "description": "signature_def: a SignatureDefMap, with 64-bit integers as texts",
            "required": ["signature_def"],
        },
    },
    "required": ["model_spec", "metadata"],
}


def openapi_document(
    model: SavedModel,
    *,
    tags: Iterable[str] | None = None,
    host: str = DEFAULT_HOST,
    model_name: str | None = None,
    version: int | None = None,
) -> dict[str, Any]:
    """Describes the REST API that a server has for a model: predict, classify, regress, metadata and status.

    Args:
        model: The model.
        tags: Which meta graph; None where there is only one, or one tagged ``serve``.
        host: Scheme, host and port of the server.
        model_name: The server's name for the model; None takes the name of the base path.
        version: The only version that the document is about; None leaves it open: every path stands there without a
            version, for the server's newest, and with one.

    Returns:
        The document as data for ``json.dumps``. Signatures that REST can't reach are named in its description.

    Raises:
        NotFoundError: There is no such meta graph.
        RequestError: No signature can be reached.
    """
    meta_graph = model.meta_graph(tags)
    name = model_name or served_name(model)
    reachable, reasons = _reachable(meta_graph)
    if not reachable:
        raise RequestError(
            f"no signature of the model can be called over REST: {'; '.join(reasons) or 'there is none'}"
        )
    schemas: dict[str, Schema] = {"status": _STATUS, "metadata": _METADATA}
    bodies: dict[str, dict[str, Any]] = {}
    for verb in _PURPOSES:
        parts = {key: verbs[verb] for key, verbs in reachable.items() if verb in verbs}
        if parts:
            bodies[verb] = _body(model, meta_graph, verb, parts, schemas)
    places = [""] if version is None else [f"/versions/{version}"]
    paths: dict[str, Any] = {}
    for place in [*places, *(["/versions/{version}"] if version is None else [])]:
        paths |= _paths(rest_path(name).removesuffix(":predict") + place, bodies)
    schemas |= definitions([list(schemas.values()), {"$ref": f"{COMPONENTS}error"}], at=COMPONENTS)
    missing = f" Signatures that REST can't call: {'; '.join(reasons)}." if reasons else ""
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": f"{printable_name(name)} in TensorFlow Serving",
            "version": str(1 if model.version is None else model.version),
            "description": f"The signatures of the model, chosen by signature_name in the body.{missing}",
        },
        "servers": [{"url": host.rstrip("/")}],
        "paths": paths,
        "components": {"schemas": dict(sorted(schemas.items()))},
    }


def _reachable(meta_graph: MetaGraph) -> tuple[dict[str, dict[str, Signature]], list[str]]:
    """Signature key → verb → the signature, and a sentence for every signature that no verb reaches."""
    found: dict[str, dict[str, Signature]] = {}
    reasons = []
    for key, signature in meta_graph.callable_signatures.items():
        verbs = {verb: signature for verb in ("predict", *_own_verb(signature)) if not _obstacle(signature, verb)}
        if verbs:
            found[key] = verbs
        else:
            reasons.append(f"{quoted(key)} ({_obstacle(signature, 'predict')})")
    return found, reasons


def _own_verb(signature: Signature) -> tuple[str, ...]:
    return (signature.method,) if signature.method in ("classify", "regress") else ()


def _obstacle(signature: Signature, verb: str) -> str:
    try:
        checked_verb(signature, verb)
    except RequestError as error:
        return str(error)
    return ""


def _body(
    model: SavedModel,
    meta_graph: MetaGraph,
    verb: str,
    signatures: Mapping[str, Signature],
    schemas: dict[str, Schema],
) -> dict[str, Any]:
    """What a path takes and answers: references to the schemas of each signature, which are added, and examples."""
    takes, answers, examples = [], [], {}
    for key, signature in signatures.items():
        stem = _new_name(f"{_NO_WORD.sub('_', key)[:60]}.{verb}", schemas)
        schemas[f"{stem}.request"] = request_part(signature, verb, at=COMPONENTS, meta_graph=meta_graph)
        schemas[f"{stem}.response"] = response_part(signature, verb, at=COMPONENTS)
        takes.append({"$ref": f"{COMPONENTS}{stem}.request"})
        answers.append({"$ref": f"{COMPONENTS}{stem}.response"})
        if (example := _example(model, meta_graph, key, verb)) is not None:
            examples[stem] = {"summary": f"signature {printable_name(key)}", "value": example}
    taken: dict[str, Any] = {"schema": takes[0] if len(takes) == 1 else {"anyOf": takes}}
    if examples:
        taken["examples"] = examples
    answered = {"schema": answers[0] if len(answers) == 1 else {"anyOf": answers}}
    return {
        "requestBody": {"required": True, "content": {"application/json": taken}},
        "responses": {
            "200": {"description": "the answer", "content": {"application/json": answered}},
            **_errors(),
        },
    }


def _new_name(stem: str, schemas: Mapping[str, Schema]) -> str:
    """A name that no other signature has; two keys may differ in characters only that no name can have."""
    name, count = stem, 1
    while f"{name}.request" in schemas:
        count += 1
        name = f"{stem}.{count}"
    return name


def _example(model: SavedModel, meta_graph: MetaGraph, signature_key: str, verb: str) -> Any:
    """A body of zeros, or None where none can be made: a declared shape may be too large for it."""
    made = requests(model, signature_key, tags=meta_graph.tags)
    if verb == "predict":
        request = made.rest_column if made.rest_row.problem else made.rest_row
    else:
        request = made[verb]
    if request.problem or len(request.text) > 10_000:
        return None
    return json.loads(request.text)


def _paths(start: str, bodies: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The paths of the model, or of one of its versions."""
    of_version = "{version}" in start
    parameters: dict[str, Any] = {}
    if of_version:
        schema = {"type": "integer", "minimum": 0, "format": "int64"}
        parameters["parameters"] = [{"name": "version", "in": "path", "required": True, "schema": schema}]
    suffix = "_of_version" if of_version else ""
    paths: dict[str, Any] = {
        start: {**parameters, "get": _get("status", f"status{suffix}", "Which versions are loaded")},
        f"{start}/metadata": {**parameters, "get": _get("metadata", f"metadata{suffix}", "The signatures")},
    }
    for verb, body in bodies.items():
        operation = {"operationId": f"{verb}{suffix}", "summary": _PURPOSES[verb], **body}
        paths[f"{start}:{verb}"] = {**parameters, "post": operation}
    return paths


def _get(schema: str, operation_id: str, summary: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"{COMPONENTS}{schema}"}}}
    responses = {"200": {"description": "the answer", "content": content}, **_errors()}
    return {"operationId": operation_id, "summary": summary, "responses": responses}


def _errors() -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"{COMPONENTS}error"}}}
    return {status: {"description": reason, "content": content} for status, reason in _ERRORS.items()}
