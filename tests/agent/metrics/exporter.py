"""The real node_exporter of Debian, and its text beside ours."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.ports import free_port
from tests.require import require_program

PATIENCE = 30.0
Series = tuple[str, frozenset[tuple[str, str]]]


@dataclass(frozen=True)
class Shown:
    """A metric family as prometheus_client's parser reads it."""

    type: str
    help: str
    values: Mapping[Series, float]


def families(text: str) -> dict[str, Shown]:
    """By name; a counter's is without `_total`, as the parser has it."""
    return {
        family.name: Shown(
            family.type,
            family.documentation,
            {(each.name, frozenset(each.labels.items())): each.value for each in family.samples},
        )
        for family in text_string_to_metric_families(text)
    }


def fetch(url: str, headers: Mapping[str, str] | None = None) -> str:
    """The body, when somebody answers."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url, headers=dict(headers or {})), timeout=10
            ) as reply:
                body: bytes = reply.read()
                return body.decode()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@dataclass(frozen=True)
class Exporter:
    """It runs."""

    url: str
    log: Path

    def text(self) -> str:
        """What it shows now."""
        return fetch(self.url)

    def collectors(self) -> set[str]:
        """The names of those that are enabled."""
        return set(re.findall(r"level=info collector=(\w+)$", self.log.read_text(), re.MULTILINE))


@contextlib.contextmanager
def node_exporter(folder: Path, *arguments: str) -> Iterator[Exporter]:
    """It, with these arguments, on a free port; its log in `folder`."""
    program, address = require_program("prometheus-node-exporter"), f"127.0.0.1:{free_port()}"
    log = folder / "node_exporter.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(program), f"--web.listen-address={address}", *arguments], stdout=output, stderr=output
        )
    try:
        exporter = Exporter(f"http://{address}/metrics", log)
        exporter.text()
        yield exporter
    finally:
        process.kill()
        process.wait()
