"""The benchmarks run, and their tables hold figures. What the figures are is for machines at rest to say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("name", "heading"), [("startup", "over the interpreter alone"), ("history", "bytes a sample"), ("ingest", "p99")]
)
def test_a_benchmark_prints_its_table(name: str, heading: str, repository: Path) -> None:
    """In Markdown, with a ratio in each."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", name],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert heading in lines[0]
    assert len({line.count("|") for line in lines}) == 1
    assert re.search(r"\d\.\d\d ×", done.stdout)


def test_an_unknown_benchmark_is_refused(repository: Path) -> None:
    """With the names of those that there are."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "speed"], cwd=repository, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "agent-rest" in done.stderr
