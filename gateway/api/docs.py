"""``/api/openapi.json`` and ``/api/docs``: the calls, for machines and for people."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from aiohttp import web

from gateway import openapi
from gateway.api.route import Route, json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.api.route import Call

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_STYLE = """
:root{color-scheme:dark;background:#07090d;color:#bfc6d4}body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;
margin:2rem auto;padding:0 1rem}h1,h2,summary b,summary code{color:#e9ecf3}a{color:#86a2c2}
h2{margin-top:2.5rem;text-transform:capitalize}details{border-bottom:1px solid #93a4c82b;padding:.45rem 0}
summary{cursor:pointer}b{display:inline-block;width:4.2rem}code{font-size:.95em}pre{overflow:auto;background:#ffffff0d;
padding:.6rem;border-radius:.3rem}small{color:#929cb0}table{border-collapse:collapse}td{padding:.1rem .8rem .1rem 0}
"""


def _shape(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    """Return a struct as lines of ``field: type``."""
    if "$ref" not in schema:
        return _kind(schema)
    found = schemas[schema["$ref"].rpartition("/")[2]]
    required = set(found.get("required", ()))
    lines = [f"{name}{'' if name in required else '?'}: {_kind(s)}" for name, s in found["properties"].items()]
    return "\n".join(lines) or "(nothing)"


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " | ".join(_kind(part) for part in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(str(word) for word in schema["enum"])
    if schema.get("type") == "array":
        return f"[{_kind(schema.get('items', {}))}]"
    return str(schema.get("type", "any"))


def _call(method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(p['name'])}</code><td>{p['in']}<td>{escape(p.get('description', ''))}"
        for p in operation["parameters"]
    )
    body = operation.get("requestBody")
    sent = next(iter(body["content"].values()))["schema"] if body else None
    asked = f"<p>Body<pre>{escape(_shape(sent, schemas))}</pre>" if sent else ""
    status, good = next(iter(operation["responses"].items()))
    content = good.get("content")
    given = f"<pre>{escape(_shape(content['application/json']['schema'], schemas))}</pre>" if content else ""
    may = escape(operation.get("x-permission", "public" if operation.get("security") == [] else "any session"))
    return (
        f"<details><summary><b>{method.upper()}</b><code>{escape(path)}</code> {escape(operation['summary'])}"
        f"</summary><small>Permission: {may}</small><table>{rows}</table>{asked}<p>Answers {status}{given}</details>"
    )


def _page(document: dict[str, Any]) -> str:
    schemas, parts, last = document["components"]["schemas"], [], ""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if operation["tags"][0] != last:
                last = operation["tags"][0]
                parts.append(f"<h2>{escape(last)}</h2>")
            parts.append(_call(method, path, operation, schemas))
    shapes = "".join(
        f"<details><summary><code>{escape(name)}</code> {escape(s.get('description', ''))}</summary>"
        f"<pre>{escape(_shape({'$ref': name}, schemas))}</pre></details>"
        for name, s in sorted(schemas.items()) if "properties" in s
    )  # fmt: skip
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Reading room: REST</title><style>{_STYLE}</style>"
        f"<h1>Reading room: REST</h1><p>{escape(document['info']['description'].replace('`', ''))} "
        f"The same for machines: <a href=openapi.json>openapi.json</a>.{''.join(parts)}<h2>shapes</h2>{shapes}"
    )


def routes(others: Sequence[Route]) -> tuple[Route, ...]:
    """Return the two calls that describe every call: the others and these."""

    async def machine(_: Call) -> web.Response:
        """Give the OpenAPI document."""
        return json(openapi.document(every))

    async def people(_: Call) -> web.Response:
        """Give this list of calls as a page."""
        page, headers = _page(openapi.document(every)), {"Content-Security-Policy": POLICY}
        return web.Response(text=page, content_type="text/html", headers=headers)

    own = (
        Route("GET", "/api/openapi.json", machine, None, public=True),
        Route("GET", "/api/docs", people, None, public=True),
    )
    every = (*others, *own)
    return own
