"""The benchmarks run, and their tables hold figures. What the figures are is for machines at rest to say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("name", "headings"),
    [
        ("startup", ["over the interpreter alone"]),
        ("history", ["bytes a sample"]),
        ("ingest", ["p99"]),
        ("logs", ["hostward over logrotate", "logrotate over it"]),
        ("logs-analyse", ["goaccess over it"]),
        ("rollout", ["over pyinfra"]),
        ("rollout-hosts", ["over pyinfra"]),
        ("backup", ["restic over hostward", "hostward over restic", "corpus", "and watched"]),
        ("backup-databases", ["MiB added", "wall s"]),
        ("backup-home", ["slowest host over fastest"]),
    ],
)
def test_a_benchmark_prints_its_table(name: str, headings: list[str], repository: Path) -> None:
    """Or its tables, in Markdown, with a ratio in each benchmark."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", name],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=230,
    )
    assert done.returncode == 0, done.stderr
    tables = re.findall(r"(?:^\|.*\n)+", done.stdout, re.MULTILINE)
    for heading, lines in zip(headings, map(str.splitlines, tables), strict=True):
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
