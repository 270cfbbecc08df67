"""What is published speaks of no machine: not of where it was written, nor of where its packages came from."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.require import require

# Folders of people and of build machines; written so that this file does not name them itself.
MACHINE = re.compile(rb"(?<![\w.-])/(?:root|work|home/[a-z][a-z0-9_-]*)/" + rb"[\w.]")
# Locks hold names, versions and digests; where they are fetched from is the installer's to say.
SOURCE = re.compile(rb"://|(?<!no-emit-)(?:index-url|find-links|trusted-host)")
INSTALLING = ("requirements/", "Makefile", "pyproject.toml", ".ci/")


def published(repository: Path) -> Iterator[tuple[str, bytes]]:
    """Every file that git tracks."""
    require((repository / ".git").exists(), "a checkout with its history")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=repository, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        path = repository / name
        if path.is_file():
            yield name, path.read_bytes()


def mentions(pattern: re.Pattern[bytes], name: str, data: bytes) -> list[str]:
    """The lines that match."""
    return [
        f"{name}:{number}: {line.decode(errors='replace').strip()}"
        for number, line in enumerate(data.splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_file_names_a_path_of_the_machine_it_was_written_on(repository: Path) -> None:
    """Neither people's folders nor this very checkout's."""
    here = re.compile(rb"(?<![\w.-])" + re.escape(str(repository).encode()) + rb"\b")
    assert [
        line
        for name, data in published(repository)
        for pattern in (MACHINE, here)
        for line in mentions(pattern, name, data)
    ] == []


def test_what_installs_names_no_source_of_packages(repository: Path) -> None:
    """A mirror's name in a lock would bind everyone to it."""
    assert [
        line
        for name, data in published(repository)
        if name.startswith(INSTALLING)
        for line in mentions(SOURCE, name, data)
    ] == []


@pytest.mark.parametrize("line", ["see /ro" + "ot/notes", 'open("/ho' + 'me/eve/x")', "cd /wo" + "rk/main"])
def test_the_pattern_of_machines_finds_what_it_is_for(line: str) -> None:
    """A test that nothing can fail would be no test."""
    assert mentions(MACHINE, "file", line.encode())
    assert not mentions(MACHINE, "file", b"/var/lib/hostward, /home, src/root/x, https://example.org/root/x")


@pytest.mark.parametrize("line", ["--index-" + "url x", "requests @ https" + "://mirror/requests.whl"])
def test_the_pattern_of_sources_finds_what_it_is_for(line: str) -> None:
    """As above."""
    assert mentions(SOURCE, "file", line.encode())
    assert not mentions(SOURCE, "file", b"uv pip compile --no-emit-index-url")
