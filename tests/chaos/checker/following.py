"""The feed and its readers: every position and sequence number once, in order, and the same to everybody."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.checker.history import History, Place


def the_feed_has_no_gap(history: History) -> Iterator[str]:
    """``pos`` counts up in the tenant and ``seq`` in each stream, up to their heads."""
    positions: dict[str, list[int]] = {tenant_id: [] for tenant_id in history.positions}
    sequences: dict[Place, list[int]] = {place: [] for place in history.heads}
    for fed in history.feed:
        positions.setdefault(fed.tenant_id, []).append(fed.pos)
        sequences.setdefault((fed.tenant_id, fed.stream), []).append(fed.seq)
    for tenant_id, found in positions.items():
        if sorted(found) != list(range(1, history.positions.get(tenant_id, 0) + 1)):
            yield f"the feed of {tenant_id} has {len(found)} events up to {history.positions.get(tenant_id, 0)}"
    for place, found in sequences.items():
        if sorted(found) != list(range(1, history.heads.get(place, 0) + 1)):
            yield f"stream {place[1]} has {len(found)} events up to {history.heads.get(place, 0)}"
    in_order: dict[Place, int] = {}
    for fed in sorted(history.feed, key=lambda f: (f.tenant_id, f.pos)):
        if fed.seq <= in_order.get((fed.tenant_id, fed.stream), 0):
            yield f"stream {fed.stream} has {fed.seq} at position {fed.pos}, after a later one"
        in_order[fed.tenant_id, fed.stream] = fed.seq


def an_event_is_in_a_stream_once(history: History) -> Iterator[str]:
    """No stream has the same event twice."""
    counted = Counter((fed.tenant_id, fed.stream, fed.id) for fed in history.feed)
    yield from (f"{key[1]} has event {key[2]} {n} times" for key, n in counted.items() if n > 1)


def sockets_hear_everything_in_order(history: History) -> Iterator[str]:
    """Each client gets each event once a connection, in order, without a gap, and as it stands in the feed."""
    feed = {(f.tenant_id, f.stream, f.seq): f for f in history.feed}
    applied: dict[tuple[str, str], int] = {}
    sent: dict[tuple[str, str], tuple[int, int]] = {}  # connection and seq that came last
    for heard in history.heard:
        place = (heard.client, heard.stream)
        if heard.kind != "ev":
            applied[place] = heard.seq if heard.kind == "snapshot" else applied.get(place, heard.seq)
            sent[place] = (heard.connection, heard.seq)
            continue
        fed = feed.get((heard.tenant_id, heard.stream, heard.seq))
        if fed is None or (fed.id, fed.type) != (heard.id, heard.type):
            yield f"{heard.client} heard {heard.type} as {heard.seq} of {heard.stream}; the feed has {fed and fed.type}"
        if heard.seq > applied.get(place, 0) + 1:
            yield f"{heard.client} heard {heard.seq} of {heard.stream} after {applied.get(place, 0)}"
        connection, last = sent.get(place, (heard.connection, 0))
        if connection == heard.connection and heard.seq <= last:
            yield f"{heard.client} heard {heard.seq} of {heard.stream} again after {last} on one connection"
        applied[place] = max(heard.seq, applied.get(place, 0))
        sent[place] = (heard.connection, heard.seq)


def the_audit_chain_is_whole(history: History) -> Iterator[str]:
    """Every event stands in one link, as it is in the journal, and every link hashes the one before it."""
    digests = {(e.tenant_id, e.entity, e.version): e.digest for e in history.entries if e.digest}
    before: dict[str, tuple[int, bytes]] = {}
    linked: Counter[tuple[str, str, int]] = Counter()
    for link in sorted(history.links, key=lambda k: (k.tenant_id, k.pos)):
        pos, last = before.get(link.tenant_id, (0, b""))
        if link.pos != pos + 1:
            yield f"the chain of {link.tenant_id} goes from {pos} to {link.pos}"
        if hashlib.sha256(last + link.body.encode()).digest() != link.hash:
            yield f"link {link.pos} of {link.tenant_id} does not follow from the one before it"
        before[link.tenant_id] = (link.pos, link.hash)
        for entity, version, digest in json.loads(link.body):
            key = (link.tenant_id, entity, version)
            linked[key] += 1
            if digests.get(key) != digest:
                yield f"{entity} version {version} is not what link {link.pos} says"
    yield from (f"{key[1]} version {key[2]} stands in {linked[key]} links" for key in digests if linked[key] != 1)
