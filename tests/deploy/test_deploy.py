"""What is handed to other machines: Ray's own validation, containers, locks, licences."""

from __future__ import annotations

import platform
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

import readingroom
from deploy import licences

ROOT = Path(__file__).parents[2]


def test_the_cluster_is_one_that_ray_accepts() -> None:
    config: dict[str, Any] = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    prepared = prepare_config(config)
    validate_config(prepared)
    nodes = prepared["available_node_types"]
    assert nodes["head"]["resources"] == {"CPU": 0}
    assert nodes["head"]["max_workers"] == 0
    assert nodes["shard"]["resources"]["shard"] >= 1
    assert nodes["inference"]["resources"].keys() >= {"GPU", "inference"}
    assert nodes["gateway"]["resources"]["CPU"] == 0
    assert any("readingroom.service" in command for command in nodes["gateway"]["worker_setup_commands"])
    assert any("RAY_REDIS_ADDRESS=" in command for command in prepared["head_start_ray_commands"])


def documents(path: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all((ROOT / path).read_text()) if document]


def test_containers_of_compose_come_from_the_one_image_and_wait_for_what_they_need() -> None:
    (compose,) = documents("deploy/compose.yaml")
    ours = {name: s for name, s in compose["services"].items() if "build" in s or s.get("image") == "readingroom"}
    assert set(ours) == {"readingroom"}
    assert set(ours["readingroom"]["depends_on"]) == {"postgres", "valkey"}
    published = [port for s in compose["services"].values() for port in s.get("ports", [])]
    assert all(str(port).startswith("127.0.0.1:") for port in published)


def test_the_version_is_said_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == readingroom.__version__


def test_the_lock_pins_everything_with_hashes_and_names_no_registry() -> None:
    text = (ROOT / "requirements.lock").read_text()
    entries = re.split(r"\n(?=[a-z0-9])", text[text.index("\n", text.rindex("#    pip-compile")) :].strip())
    for entry in (entry for entry in entries if "==" in entry.partition("\n")[0]):
        assert "--hash=sha256:" in entry, entry[:60]
    assert "http://" not in text
    assert "https://" not in text
    locked = {re.sub(r"[-_.]+", "-", name).lower() for name in re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", name)[0]).lower() for name in wanted}
    assert names <= locked


def test_no_dependency_is_under_the_gpl() -> None:
    rows = licences.rows()
    assert not [row.name for row in rows if licences.copyleft(row.licence)]
    if platform.machine() == "x86_64":  # another machine's wheels may bring other libraries
        assert licences.page(rows) == (ROOT / "docs" / "licences.md").read_text(), "run: python -m deploy.licences"


@pytest.mark.parametrize("script", [*sorted(p.name for p in (ROOT / "deploy").glob("*.sh")), ".ci/run"])
def test_shell_scripts_are_whole(script: str) -> None:
    path = ROOT / script if script.startswith(".") else ROOT / "deploy" / script
    subprocess.run(["bash", "-n", str(path)], check=True)
    assert path.stat().st_mode & 0o100
