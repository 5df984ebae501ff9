"""The OpenAPI 3.1 document, made from the table of calls and the structs of their bodies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from actors.domain.errors import refusals
from gateway.schema import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.api.route import Route

_REF = "#/components/schemas/{name}"
_NAMES = re.compile(r"\{(\w+)\}")
_PARAMETERS: dict[str, tuple[str, dict[str, Any]]] = {
    "limit": ("How many at most.", {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}),
    "after": ("The `next` of the page before.", {"type": "string"}),
    "status": ("One or more, with commas.", {"type": "string"}),
    "priority": ("One or more, with commas.", {"type": "string"}),
    "site": ("A site, by id or name.", {"type": "string"}),
    "reader": ("This reader's only.", {"type": "string"}),
    "q": ("Words of the patient's name, MRN or the accession number.", {"type": "string"}),
    "from": ("The instant that it begins; now when absent.", {"type": "string", "format": "date-time"}),
    "to": ("The instant that it ends; a month later when absent.", {"type": "string", "format": "date-time"}),
    "version": ("The version that was seen.", {"type": "integer"}),
    "against": ("The other version; the live one when absent.", {"type": "integer"}),
    "at": ("An instant of the past; now when absent.", {"type": "string", "format": "date-time"}),
    "dry_run": ("Only say what would happen.", {"type": "boolean", "default": False}),
    "study_uid": ("A Study Instance UID.", {"type": "string"}),
}


def _ref(kind: type) -> dict[str, str]:
    return {"$ref": _REF.format(name=kind.__name__)}


def _answers(route: Route) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "It is done."}
    if route.answer is not None:
        good["content"] = {"application/json": {"schema": _ref(route.answer)}}
    refused = {"description": "Refused.", "content": {"application/problem+json": {"schema": _ref(Problem)}}}
    answers = {str(route.status): good, "default": refused}
    if route.status == 201 and route.call == "orders":  # noqa: PLR2004 - the same order again
        answers["200"] = good
    return answers


def _parameters(route: Route) -> list[dict[str, Any]]:
    inside = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _NAMES.findall(route.path)
    ]
    asked = [
        {"name": name, "in": "query", "description": _PARAMETERS[name][0], "schema": _PARAMETERS[name][1]}
        for name in route.query
    ]
    key = {
        "name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": 200},
        "description": "The same key has one effect and one answer, for 24 hours.",
    }  # fmt: skip
    return [*inside, *asked, *([key] if route.method != "GET" and not route.path.startswith("/api/auth") else [])]


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{route.handler.__module__.rpartition('.')[2]}_{route.handler.__name__}_{len(route.path)}",
        "summary": route.summary,
        "tags": [route.handler.__module__.rpartition(".")[2]],
        "parameters": _parameters(route),
        "responses": _answers(route),
    }
    if route.body is not None:
        content = {"application/json": {"schema": _ref(route.body)}}
        operation["requestBody"] = {"required": True, "content": content}
    elif "dry_run" in route.query:  # a sheet
        operation["requestBody"] = {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}
    if route.public:
        operation["security"] = []
    if route.call is not None:
        operation["x-permission"] = route.call
    return operation


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """Return the OpenAPI document of a table of calls."""
    kinds = {kind for r in routes for kind in (r.body, r.answer) if kind is not None} | {Problem}
    _, schemas = msgspec.json.schema_components(sorted(kinds, key=lambda k: k.__name__), ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Reading room",
            "version": "1",
            "description": "Refusals carry `code`: " + ", ".join(sorted(refusals())) + ".",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "rr_session"},
            },
        },
        "security": [{"bearer": []}, {"cookie": []}],
    }
