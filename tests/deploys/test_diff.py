"""What `--diff` shows of the files of several hosts at one time."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, cast

import gevent
import pytest
from pyinfra import logger
from pyinfra.api.host import Host

from deploys.operations.diff import show


@dataclass(frozen=True)
class File:
    """One that is to be written."""

    path: str
    text: str | None


class Slow:
    """A host whose answers take a moment, in which others have their turn."""

    def __init__(self, name: str) -> None:
        self.name = name

    def log(self, text: str) -> None:
        """As pyinfra's."""
        logger.info("[%s] %s", self.name, text)

    def get_fact(self, fact: Any, path: str) -> list[str]:
        """What is in the file."""
        gevent.sleep(0.01)
        return [f"before on {self.name}"]


def test_what_changes_on_a_host_follows_its_name(caplog: pytest.LogCaptureFixture) -> None:
    """Hosts take turns between questions, and not between the lines of an answer. Secrets are named alone."""
    caplog.set_level(logging.INFO, logger="pyinfra")
    files = [File("/etc/one", "after\n"), File("/etc/secret/key", "hush\n"), File("/etc/two", None)]
    hosts = [cast(Host, Slow(name)) for name in ("web1", "web2")]
    gevent.joinall([gevent.spawn(show, host, files, secret=("/etc/secret/",)) for host in hosts], raise_error=True)
    said = caplog.messages
    assert "hush" not in "".join(said)
    for host in hosts:
        for heading in ("Will write /etc/one", "Will remove /etc/two"):
            at = said.index(f"[{host.name}] {heading}")
            assert f"before on {host.name}" in "".join(said[at + 1 : at + 4])
