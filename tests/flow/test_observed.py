"""What operators see of a running instance: figures of every process, one trace from the image to the screen."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from readingroom.demo import scanner, studies
from readingroom.demo.client import LiveClient
from readingroom.demo.receiver import Receiver
from tests.cli.stack import stack
from tests.conftest import short_directory
from tests.flow.collector import Collector
from tests.flow.test_stat_head_ct import PASSWORD, SLICES, Modality, order, people, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.flow.collector import Span

DEPLOY = Path(__file__).parents[2] / "deploy"
NAME = re.compile(r"\b(?:rr|process)_[a-z_]+")
SELECTOR = re.compile(r"\b((?:rr|process)_[a-z_]+)\{([^}]*)\}")
PROCESSES = {"gateway-0", "dicom-0", "shard-host-0", "inference-0"}


def expressions() -> Iterator[str]:
    """Yield every PromQL expression of the dashboard and of the alert rules."""
    dashboard = json.loads((DEPLOY / "grafana" / "readingroom.json").read_text())
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    rules = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())
    yield from (rule["expr"] for group in rules["groups"] for rule in group["rules"])


def shown(url: str) -> dict[str, set[str]]:
    """Return the metrics that the instance exposes, as they are named in PromQL, with their labels."""
    with urllib.request.urlopen(f"{url}/metrics") as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    known: dict[str, set[str]] = {}
    for family in families:
        names = {
            "counter": [f"{family.name}_total"],
            "histogram": [f"{family.name}{suffix}" for suffix in ("_bucket", "_count", "_sum")],
        }.get(family.type, [family.name])
        for name in names:
            known.setdefault(name, set()).update(*(sample.labels for sample in family.samples))
    return known


def processes(url: str) -> set[str]:
    with urllib.request.urlopen(f"{url}/metrics") as answer:
        return set(re.findall(r'process="([^"]+)"', answer.read().decode()))


def whole(ways: Iterator[list[Span]]) -> list[Span] | None:
    """Return a way that goes from an image to a screen over an offer."""
    for way in ways:
        names = [span.name for span in way]
        if names[0] == "C-STORE" and "Offer" in names and way[-1].attributes.get("type") == "assignment_offered":
            assert "ImagesArrived" in names
            return way
    return None


@pytest.mark.stack
async def test_an_instance_is_seen_from_outside() -> None:
    with (
        Collector() as collector,
        short_directory("rr-seen-") as data,
        stack(data, environment={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}) as up,
    ):
        http, dicom = await asyncio.to_thread(up.ready)
        async with Receiver() as receiver:
            site = await asyncio.to_thread(people, up, receiver.hook)
            async with LiveClient(http, "radiologist@flow.example", PASSWORD) as reader:
                await _traced(reader, Modality(dicom), site, collector)
        await _figures(http)
        _logged(data)


async def _traced(reader: LiveClient, modality: Any, site: str, collector: Collector) -> None:
    patient = studies.patient(7)
    ordered = await order(reader.session.base_url, site, patient)
    uid = ordered["study_uid"]
    images = studies.images(
        studies.HEAD_CT, 7, patient, {"accession_number": "FLOW-1", "study_uid": uid}, slices=SLICES, size=64
    )
    await scanner.transmit(images, modality, "FLOW_CT", pause_s=0.0)
    await until(lambda: reader.mine.get(uid))
    way = await until(lambda: whole(collector.ways("emit")), 30)
    assert way[0].process == "dicom-0"
    assert way[-1].process == "gateway-0"
    assert {span.process for span in way} == {"dicom-0", "shard-host-0", "gateway-0"}
    began = [span.began_ns for span in way]
    assert began == sorted(began)
    trace = [span for span in collector.spans if span.trace_id == way[0].trace_id]
    assert {"C-STORE", "store rows", "ImagesArrived", "commit", "Changed", "decide", "Offer", "emit"} <= {
        span.name for span in trace
    }
    secrets = {patient["name"], patient["mrn"], "FLOW-1", *patient["name"].split("^"), patient["birth_date"]}
    said = " ".join(f"{span.name} {' '.join(span.attributes.values())}" for span in collector.spans)
    assert not [secret for secret in secrets if secret in said]


async def _figures(http: str) -> None:
    await until(lambda: processes(http) >= PROCESSES)
    known = shown(http)
    asked = list(expressions())
    assert len(asked) > 40
    assert {name for text in asked for name in NAME.findall(text)} <= set(known)
    for text in asked:
        for name, matchers in SELECTOR.findall(text):
            labels = set(re.findall(r"(\w+)\s*[=!]", matchers))
            assert not known[name] or labels <= known[name], (name, labels)


def _logged(data: Path) -> None:
    """Every line of every log of ours is a JSON event."""
    for path in (data / "logs").glob("*.log"):
        if path.stem in {"postgres", "valkey", "ray", "migrate"}:
            continue
        for line in path.read_text().splitlines():
            if line.startswith("SIGTERM handler is not set"):
                continue  # Ray's own word at each attachment
            event = json.loads(line)
            assert {"event", "level", "at", "process"} <= set(event), (path.name, line)
