"""``client``: a program that sends a request, or a description of the REST API that programs are made from."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from explorer.cli.printing import print_text, tag_list
from explorer.errors import NotFoundError, RequestError

if TYPE_CHECKING:
    from explorer.savedmodel.model import SavedModel

DESCRIPTIONS = ("openapi", "http", "request-schema", "response-schema")
"""What ``--language`` takes beside the languages."""


def client(options: argparse.Namespace) -> None:
    """Prints the client, or the description."""
    from explorer.savedmodel.opening import open_saved_model

    model = open_saved_model(options.path, options.version)
    tags = None if options.tags is None else tag_list(options.tags)
    if options.language in DESCRIPTIONS:
        print_text(_description(options.language, model, tags, options))
        return
    from explorer.serving.clients import LANGUAGES, client_code, request_files

    language = options.language.replace("-", "_")
    if language not in LANGUAGES:
        known = [name.replace("_", "-") for name in LANGUAGES]
        raise NotFoundError("language", options.language, [*known, *DESCRIPTIONS])
    chosen: dict[str, Any] = {"tags": tags, "format": options.format, "values": options.values}
    code = client_code(model, options.signature, language, host=options.host, model_name=options.name, **chosen)
    if files := request_files(model, options.signature, language, **chosen):
        raise RequestError(
            f"the body is too long for a program, which would read it from {next(iter(files))!r}; write that file with "
            "'request', or call explorer.client_code and explorer.request_files"
        )
    print_text(code.rstrip("\n"))


def _description(what: str, model: SavedModel, tags: list[str] | None, options: argparse.Namespace) -> str:
    named = {"tags": tags, "model_name": options.name, **({} if options.host is None else {"host": options.host})}
    if what == "http":
        from explorer.serving.http_file import http_file

        return http_file(model, **named).rstrip("\n")
    if what == "openapi":
        from explorer.serving.openapi import openapi_document

        return json.dumps(openapi_document(model, **named), indent=2)
    from explorer.serving.bodies import chosen_signature
    from explorer.serving.schemas import request_schema, response_schema

    meta_graph = model.meta_graph(tags)
    signature = chosen_signature(meta_graph, options.signature)
    schema = (
        request_schema(signature, meta_graph=meta_graph) if what == "request-schema" else response_schema(signature)
    )
    return json.dumps(schema, indent=2)
