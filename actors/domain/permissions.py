"""Who may what: one table for REST, sockets, DICOM and UPS. What is not granted is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.domain.errors import Forbidden
from actors.domain.words import Role

if TYPE_CHECKING:
    from actors.domain.identity import Principal

_A, _M, _R, _S = Role.ADMIN, Role.MANAGER, Role.RADIOLOGIST, Role.RESIDENT
_T, _V, _P, _O = Role.TECHNOLOGIST, Role.VIEWER, Role.REFERRING_PHYSICIAN, Role.OPERATOR
_INSIDE = frozenset({_A, _M, _R, _S})
_ALL = frozenset({_A, _M, _R, _S, _T, _V, _P})

GRANTS: dict[str, frozenset[Role]] = {
    "studies": _ALL,  # V and P: final ones
    "history": _INSIDE,
    "explanation": _INSIDE,
    "board": _INSIDE,
    "board_past": frozenset({_A, _M}),
    "worklist": _INSIDE,
    "orders": frozenset({_A, _M, _T}),
    "unmatched": frozenset({_A, _M, _T}),
    "join": frozenset({_A, _T}),
    "correct": frozenset({_A, _T}),  # whose a study is; T: where all of it is at her sites
    "dismiss": frozenset({_M, _R, _S}),  # R and S: what they signed
    "assign": frozenset({_M}),
    "clock": frozenset({_M}),
    "accept": frozenset({_R, _S}),
    "decline": frozenset({_R, _S}),
    "start_reading": frozenset({_R, _S}),
    "release": frozenset({_M, _R, _S}),
    "next_case": frozenset({_R, _S}),
    "set_presence": frozenset({_R, _S}),
    "save_draft": frozenset({_R, _S}),
    "sign": frozenset({_R, _S}),  # S: prelim only
    "settle": frozenset({_M, _R}),  # R: what she has read as the second
    "addenda": frozenset({_R}),
    "readings": _INSIDE,  # R and S: their own while a blind second reading is open
    "reports": _ALL,  # T, V and P: final ones
    "policy_read": _INSIDE,
    "policy_write": frozenset({_A, _M}),
    "readers_read": _INSIDE,
    "readers_write": frozenset({_A, _M}),
    "what_if": frozenset({_A, _M}),
    "rosters_read": _INSIDE,
    "rosters_write": frozenset({_A, _M}),
    "dicomweb_read": _ALL,  # V and P: final ones
    "dicomweb_write": frozenset({_A, _T}),
    "dicomweb_write_derived": frozenset({_A, _T, _R, _S}),
    "socket": _ALL,
    "stream_tenant": _INSIDE,
    "stream_study": _INSIDE,
    "stream_site": frozenset({_T}),
    "metrics": frozenset({_O}),
}


def may(role: Role, call: str) -> bool:
    """Whether the role is ever granted the call; an unknown call is granted to nobody."""
    return role in GRANTS.get(call, frozenset())


def check(who: Principal, call: str) -> None:
    """Refuse what the role never may.

    Raises:
        Forbidden: naming the role and the call.
    """
    if not may(who.role, call):
        raise Forbidden(f"A {who.role.value} may not do this ({call}).")
