"""The figures of all processes are shown by any gateway, in a format that Prometheus reads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from actors import exposition
from actors.exposition import Exposition, figures, text

if TYPE_CHECKING:
    import pytest

    from readingroom.settings import Settings


def registry(times: int) -> CollectorRegistry:
    made = CollectorRegistry()
    Counter("rr_a_total", 'With "quotes", a \\ and\na line.', ("why",), registry=made).labels('x"\n').inc(times)
    Gauge("rr_b", "B.", registry=made).set(0.5)
    Histogram("rr_c_seconds", "C.", buckets=(1,), registry=made).observe(2)
    return made


def samples(shown: str) -> dict[tuple[str, str], float]:
    return {
        (sample.name + sample.labels.get("le", ""), sample.labels["process"]): sample.value
        for family in text_string_to_metric_families(shown)
        for sample in family.samples
    }


def test_two_processes_make_one_family_each_with_its_samples() -> None:
    shown = text([figures("p-0", registry(1)), figures("p-1", registry(2))])
    assert shown.count("# TYPE rr_a_total counter") == 1
    known = samples(shown)
    assert (known["rr_a_total", "p-0"], known["rr_a_total", "p-1"]) == (1, 2)
    assert known["rr_b", "p-0"] == 0.5
    assert (known["rr_c_seconds_bucket1.0", "p-0"], known["rr_c_seconds_bucket+Inf", "p-1"]) == (0, 1)
    (family,) = [f for f in text_string_to_metric_families(shown) if f.name == "rr_a"]
    assert family.samples[0].labels["why"] == 'x"\n'


async def test_what_another_process_left_is_shown_while_it_is_fresh(
    servers: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    valkey: Redis = Redis.from_url(servers.valkey_url)
    other, gateway = Exposition(servers.valkey_url, "host-7"), Exposition(servers.valkey_url, "gateway-7")
    other.start()
    try:
        async with asyncio.timeout(10):
            while 'process="host-7"' not in await gateway.everybody(valkey):
                await asyncio.sleep(0.02)
        shown = await gateway.everybody(valkey)
        assert 'process="gateway-7"' in shown
        assert shown.count("# TYPE rr_append_seconds ") == 1
    finally:
        await other.stop()
    monkeypatch.setattr(exposition, "_FRESH_S", 0.0)
    await asyncio.sleep(0.01)
    assert 'process="host-7"' not in await gateway.everybody(valkey)
    await valkey.aclose()


async def test_without_valkey_a_process_shows_its_own() -> None:
    nowhere: Redis = Redis.from_url("unix:///nowhere.sock")
    shown = await Exposition("unix:///nowhere.sock", "gateway-8").everybody(nowhere)
    assert 'process="gateway-8"' in shown
    await nowhere.aclose()
