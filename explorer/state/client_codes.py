"""Programs that send the request, descriptions of the API, and the files that a server needs: whatever is chosen."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from explorer.errors import ExplorerError
from explorer.savedmodel.model import MetaGraph, SavedModel
from explorer.serving.clients import LANGUAGES, client_files
from explorer.state.answering import AnsweringState
from explorer.state.telling import sentence

_OTHERS = {
    "openapi": "OpenAPI document",
    "http": ".http file for editors",
    "schema": "JSON Schema of request and answer",
    "docker": "Hand-over: docker",
    "models.config": "Hand-over: models.config",
    "kserve": "Hand-over: KServe",
    "triton": "Hand-over: Triton",
}
HANDOVERS = ("docker", "models.config", "kserve", "triton")

CLIENTS = MappingProxyType({**{name: one.title for name, one in LANGUAGES.items()}, **_OTHERS})
"""What can be chosen → its name for people."""


@dataclass(frozen=True, slots=True)
class ClientCode:
    """Some code.

    Attributes:
        files: File name → its text.
        note: What to do with it, in a sentence.
        problem: Why there is none, in a sentence; empty where there is some.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    problem: str = ""


def client_codes(state: AnsweringState, choice: str) -> ClientCode:
    """The code for the chosen signature and its values.

    Args:
        state: The state.
        choice: One of ``CLIENTS``.
    """
    model, meta_graph, signature = state.model, state.meta_graph, state.signature
    if model is None or meta_graph is None or signature is None:
        return ClientCode(problem="No signature is chosen.")
    try:
        if choice in LANGUAGES:
            return _program(state, choice)
        if choice == "schema":
            return _schemas(state)
        files = _MAKERS[choice](model, meta_graph)
    except ExplorerError as error:
        return ClientCode(problem=sentence(error))
    note = "It serves what is on disk, without the pending edits." if choice in HANDOVERS and model.edits else ""
    return ClientCode(files, note)


def _program(state: AnsweringState, language: str) -> ClientCode:
    made = state.requests
    assert made is not None
    protocol = state.rest_protocol
    is_rest = LANGUAGES[language].protocol == "rest"
    how: dict[str, Any] = {}
    if protocol in ("classify", "regress"):
        how["verb"] = protocol
    elif is_rest and protocol:
        how["format"] = protocol.removeprefix("rest_")
    if not is_rest and not protocol:
        how["verb"] = "predict"
    files = client_files(made, language, **how)
    command = " ".join(LANGUAGES[language].command)
    return ClientCode({name: content.decode("ascii") for name, content in files.items()}, f"Run it with: {command}")


def _schemas(state: AnsweringState) -> ClientCode:
    from explorer.serving.schemas import request_schema, response_schema

    signature, verb = state.signature, state.verb
    assert signature is not None
    return ClientCode(
        {
            "request.schema.json": _json(request_schema(signature, verb, meta_graph=state.meta_graph)),
            "answer.schema.json": _json(response_schema(signature, verb)),
        }
    )


def _openapi(model: SavedModel, meta_graph: MetaGraph) -> dict[str, str]:
    from explorer.serving.openapi import openapi_document

    return {"openapi.json": _json(openapi_document(model, tags=meta_graph.tags))}


def _http(model: SavedModel, meta_graph: MetaGraph) -> dict[str, str]:
    from explorer.serving.http_file import http_file

    return {"requests.http": http_file(model, tags=meta_graph.tags)}


def _docker(model: SavedModel, meta_graph: MetaGraph) -> dict[str, str]:
    from explorer.serving.handover import docker_command

    return {"docker-run.sh": docker_command(model, tags=meta_graph.tags) + "\n"}


def _models_config(model: SavedModel, _meta_graph: MetaGraph) -> dict[str, str]:
    from explorer.serving.handover import models_config

    return {"models.config": models_config(model)}


def _kserve(model: SavedModel, meta_graph: MetaGraph) -> dict[str, str]:
    from explorer.serving.handover import kserve_yaml

    return {"inference-service.yaml": kserve_yaml(model, tags=meta_graph.tags)}


def _triton(model: SavedModel, meta_graph: MetaGraph) -> dict[str, str]:
    from explorer.serving.triton import triton_files

    return triton_files(model, tags=meta_graph.tags)


_MAKERS: Mapping[str, Callable[[SavedModel, MetaGraph], dict[str, str]]] = MappingProxyType(
    {
        "openapi": _openapi,
        "http": _http,
        "docker": _docker,
        "models.config": _models_config,
        "kserve": _kserve,
        "triton": _triton,
    }
)


def _json(data: Any) -> str:
    return json.dumps(data, indent=2) + "\n"
