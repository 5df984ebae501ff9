"""Refusals as HTTP says them: ``application/problem+json`` (RFC 9457), with the wire's ``code``."""

from __future__ import annotations

import re
import traceback
from enum import Enum
from http import HTTPStatus
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import structlog
from aiohttp import web

from actors.domain.errors import BadPayload, Overloaded, ReadingRoomError, Retry
from gateway.meters import DAMAGED
from storage.faults import AWAY
from storage.sealed import Damaged

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

RETRY_AFTER_S = 1
_AT = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_MISSING = re.compile(r"missing required field `(?P<name>[^`]*)`")

log = structlog.get_logger()


def problem(error: ReadingRoomError) -> web.Response:
    """Return the answer that says this refusal."""
    extra = dict(error.fields)
    wait = str(extra.pop("retry_after_s", RETRY_AFTER_S))
    answer = _answer(error.status, error.code, str(error), extra | {"title": error.sentence})
    if isinstance(error, Overloaded | Retry):
        answer.headers["Retry-After"] = wait
    answer.headers.update(getattr(error, "headers", {}))
    return answer


def _answer(status: int, code: str, detail: str, extra: dict[str, Any] | None = None) -> web.Response:
    body = {"type": f"urn:readingroom:{code}", "title": detail, "status": status, "detail": detail, "code": code}
    content = msgspec.json.encode(body | (extra or {}))
    return web.Response(status=status, body=content, content_type="application/problem+json")


def _allowed(kind: Any, path: str) -> list[str]:
    """Return the words that the field at ``path`` of a struct takes, if it takes words."""
    for name in filter(None, re.split(r"\.|\[[^\]]*\]", path)):
        for part in (kind, *get_args(kind)):
            if isinstance(part, type) and issubclass(part, msgspec.Struct):
                kind = get_type_hints(part).get(name)
                break
        else:
            return []
    if get_origin(kind) is Literal:
        return [str(word) for word in get_args(kind)]
    parts = (kind, *get_args(kind)) if get_origin(kind) in (Union, UnionType, list) else (kind,)
    words = [part for part in parts if isinstance(part, type) and issubclass(part, Enum)]
    return [str(word.value) for word in words[0]] if words else []


def bad_payload(error: Exception, kind: Any = None) -> BadPayload:
    """Return the refusal of a body that is not what the call takes; it names the field."""
    text = str(error)
    if not isinstance(error, msgspec.ValidationError):
        return BadPayload("The body is not JSON.", {"field": ""})
    at = _AT.search(text)
    path = at["path"] if at else ""
    missing = _MISSING.search(text)
    if missing:
        path = f"{path}.{missing['name']}".lstrip(".")
        return BadPayload(f"The field {path} is missing.", {"field": path})
    said = text[: at.start()] if at else text
    if said.startswith("Invalid enum value") and (words := _allowed(kind, path)):
        message = f"{path}: {said.removeprefix('Invalid enum value ')} is none of {', '.join(words)}."
        return BadPayload(message, {"field": path, "allowed": words})
    return BadPayload(f"{path or 'body'}: {said.replace('`', '')}.", {"field": path})


def one_of(field: str, word: str, allowed: list[str]) -> BadPayload:
    """Return the refusal of a word that the field does not take."""
    return BadPayload(f"{field}: {word!r} is none of {', '.join(allowed)}.", {"field": field, "allowed": allowed})


@web.middleware
async def refuse(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turn whatever a handler raises into a problem; nothing of the inside is shown."""
    try:
        return await handler(request)
    except ReadingRoomError as error:
        return problem(error)
    except web.HTTPException as error:
        return _http(error)
    except (ConnectionResetError, web.RequestPayloadError):  # the client went away
        return problem(BadPayload("The body ended early.", {"field": ""}))
    except AWAY as error:
        return problem(_away(request, error))
    except Exception as error:  # noqa: BLE001 - the last resort
        log.error("handler_failed", path=_route(request), error=type(error).__name__, at=_where(error))  # noqa: TRY400
        return problem(ReadingRoomError())


def _away(request: web.Request, error: BaseException) -> ReadingRoomError:
    if isinstance(error, Damaged):  # it will not get better by itself
        DAMAGED.inc()
        log.error("object_damaged", path=_route(request), error=str(error))
        return ReadingRoomError("A stored file is not what was written. Have its sender send the study again.")
    log.warning("part_away", path=_route(request), error=type(error).__name__)
    return Retry()


def _http(error: web.HTTPException) -> web.StreamResponse:
    if error.status < HTTPStatus.BAD_REQUEST:
        raise error
    code = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}.get(error.status, "bad_request")
    title = HTTPStatus(error.status).phrase
    answer = _answer(error.status, code, f"{title}.")
    if "Allow" in error.headers:
        answer.headers["Allow"] = error.headers["Allow"]
    return answer


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "-"


def _where(error: BaseException) -> list[str]:
    """Return where an error happened; its message and locals may hold a patient's name, so they are not logged."""
    return [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)[-8:]]
