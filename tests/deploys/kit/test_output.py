"""A host that prints without end fills nobody's memory."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO, StringIO
from queue import Queue
from typing import Any

import pytest
from paramiko.file import BufferedFile
from pyinfra.connectors.util import OutputLine

from deploys.kit import output

PROGRAM = """\
from deploys.kit import output
from pyinfra.connectors.util import run_local_process
output.bound()
print_ = f"yes {'ab' * 50} | head -c 30000000; echo; printf 'the end'; echo why >&2; exit 3"
code, said = run_local_process(print_)
print(code, len(said.stdout), said.stdout_lines[0], said.stdout_lines[-1], said.stderr_lines)
"""


class Channel(BufferedFile):
    """As paramiko reads from a host."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._content = BytesIO(content)
        self._set_mode("r", -1)

    def _read(self, size: int) -> bytes:
        return self._content.read(size)


def read(io: Any) -> list[str]:
    """The lines that are kept of it."""
    queue: Queue[OutputLine] = Queue()
    output.read_buffer("stdout", io, queue)
    return [line.line for line in queue.queue]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little is kept."""
    for name, size in (("HEAD", 20), ("TAIL", 20), ("PIECE", 8)):
        monkeypatch.setattr(output, name, size)


@pytest.mark.parametrize(
    "kind", [BytesIO, Channel, lambda content: StringIO(content.decode()), lambda content: content.splitlines(True)]
)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "one\n\ntwo",
        "äöü äöü äöü äöü\n",
        "a long line of which nothing is lost\n",
        "x\n" * 20,
        f"{'y' * 20}\n{'z' * 19}",
    ],
)
def test_what_is_short_enough_is_kept_as_it_is(kind: Any, text: str) -> None:
    """Whatever the pieces are that it comes in."""
    assert "\n".join(read(kind(text.encode()))) == text.removesuffix("\n")


def test_of_what_is_too_long_the_head_and_the_tail_are_kept() -> None:
    """Of many lines, and of one line without an end."""
    lines = [f"line {number:04}" for number in range(1000)]
    kept = read(Channel("\n".join(lines).encode()))
    assert kept[:2] == lines[:2]
    assert kept[-2:] == lines[-2:]
    [left_out] = [line for line in kept if line.startswith("[")]
    count = int(left_out[1:].split()[0])
    assert count + sum(len(line) + 1 for line in kept if line != left_out) - 1 == len("\n".join(lines))
    kept = read(Channel(b"a" * 1000 + b"z"))
    assert kept[0] == "a" * 24
    assert kept[1] == "[952 bytes are left out here]"
    assert kept[2] == "a" * 24 + "z"


def test_pyinfra_keeps_no_more_of_a_command() -> None:
    """Its exit code and what it complained about are there all the same."""
    words = [sys.executable, "-W", "ignore", "-c", PROGRAM]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=100)
    code, size, first, *rest = done.stdout.split()
    assert (code, first, rest) == ("3", "ab" * 50, ["the", "end", "['why']"])
    assert 7_000_000 < int(size) < 10_000_000
