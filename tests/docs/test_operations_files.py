"""The files for those who operate nodes: a unit of systemd, a compose file, and what Prometheus reads."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.paths import DOCS

from trio_messenger._cli import parse
from trio_messenger.metrics._collector import COUNTER_MEANINGS, METRIC_PREFIX

HOW_TO = DOCS / "how-to"


def parsed(path: str) -> Any:
    """Return what is in a YAML file."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    return yaml.safe_load((HOW_TO / path).read_text(encoding="utf-8"))


def unit() -> str:
    return (HOW_TO / "nats" / "demo-n1.service").read_text(encoding="utf-8")


def node_arguments(words: list[str]) -> Any:
    """Return the arguments that the command line finds in *words*."""
    arguments, _ = parse(words)
    return arguments


def test_the_command_of_the_unit_is_one() -> None:
    """Each option exists, and the node has its own id."""
    found = re.search(r"^ExecStart=((?:.*\\\n)*.*)$", unit(), re.MULTILINE)
    assert found
    program, *words = shlex.split(found[1].replace("\\\n", " "))
    arguments = node_arguments(words)
    assert program == "/opt/demo/bin/trio-messenger"
    assert (arguments.id, arguments.user, arguments.password_file) == ("n1", "n1", "secrets/n1")
    assert arguments.metrics == ("10.0.0.1", 9464)
    assert len(arguments.nats) == len(arguments.peers) == 3


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """Where there is such a program as it names."""
    path = tmp_path / "demo-n1.service"
    path.write_text(unit().replace("/opt/demo/bin/trio-messenger", sys.executable), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, check=False, timeout=60)
    assert [line for line in done.stderr.splitlines() if "demo-n1" in line] == []
    assert done.returncode == 0, done.stderr


def test_the_compose_file_has_a_server_and_three_nodes() -> None:
    """Each node has its own id and password, and the others as peers."""
    services = parsed("nats/compose.yaml")["services"]
    assert set(services) == {"nats", "n1", "n2", "n3"}
    for name in ("n1", "n2", "n3"):
        arguments = node_arguments(shlex.split(services[name]["command"]))
        assert (arguments.id, arguments.user, arguments.peers) == (name, name, ["n1", "n2", "n3"])
        assert services[name]["volumes"] == [f"./secrets/{name}:/password:ro"]
        assert arguments.nats == ["nats://nats:4222"]
        assert f"127.0.0.1:{arguments.metrics[1]}/ready" in services[name]["healthcheck"]["test"][-1]
        assert services[name]["build"] == "."


def test_prometheus_reads_the_port_of_the_unit_and_the_rules() -> None:
    """Both files belong together."""
    found = parsed("monitor/prometheus.yml")
    assert found["rule_files"] == ["alerts.yml"]
    [job] = found["scrape_configs"]
    assert "10.0.0.1:9464" in job["static_configs"][0]["targets"]


def test_alerts_name_metrics_that_exist_and_are_explained() -> None:
    """On the page that shows them."""
    names = {f"{METRIC_PREFIX}{name}_total" for name in COUNTER_MEANINGS}
    names |= {METRIC_PREFIX + name for name in ("ready", "pending_rpcs")}
    page = (HOW_TO / "monitor.md").read_text(encoding="utf-8")
    rules = parsed("monitor/alerts.yml")["groups"][0]["rules"]
    assert len(rules) > 5
    for rule in rules:
        assert set(re.findall(r"trio_messenger_\w+", rule["expr"])) - names == set()
        assert f"| `{rule['alert']}` |" in page
