"""Runs that hold a host are told apart, and what a dead one held is not lost."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deploys.kit import holder as holders
from deploys.kit.holder import follows, holder

PROGRAM = """\
import sys
from deploys.kit.holder import belong, holder
belong(sys.argv[2])
print(holder(sys.argv[1]), flush=True)
sys.stdin.read()
"""


@contextmanager
def another(what: str, rollout: str = "") -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Another run from this machine, and what it holds hosts as."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, what, rollout], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), process


def test_two_runs_from_one_machine_hold_each_other_off_while_both_live() -> None:
    """Also one that was killed and that nobody has waited for yet is gone; other work of it may go on on the host."""
    me = holder("patch")
    assert follows(me, me)
    with another("patch") as (theirs, process), another("agent") as (other, more):
        assert not follows(me, theirs)
        for each in (process, more):
            each.kill()
            # Waits without taking notice of it: what is left is a zombie.
            assert each.stdout is not None
            each.stdout.read()
            until_gone(each)
        assert follows(me, theirs)
        assert not follows(me, other)
    assert follows(me, theirs)
    assert not follows(me, theirs.replace("@", "@x"))
    assert not follows(me, "patch by somebody@else")
    assert not follows("", theirs)


def until_gone(process: subprocess.Popen[str]) -> None:
    """Return when the process is a zombie or less."""
    end = time.monotonic() + 60
    while holders._started(process.pid) is not None:
        assert time.monotonic() < end, "it is still there"
        time.sleep(0.01)


def test_a_rollout_goes_on_with_what_it_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even before the process of the wave that was killed is gone; another rollout does not."""
    monkeypatch.setattr(holders, "_rollout", "20261122-031500-a1b2c3")
    me = holder("patch")
    assert ", rollout 20261122-031500-a1b2c3, process " in me
    with another("patch", "20261122-031500-a1b2c3") as (same, one), another("patch", "later") as (later, two):
        assert follows(me, same)
        assert not follows(me, later)
        for process in (one, two):
            process.kill()


def test_what_a_machine_held_before_its_boot_is_nobodys_and_what_others_hold_is_not_known() -> None:
    """Numbers of processes mean something on one machine, in one boot."""
    me = holder("patch")
    head, _, process = me.rpartition(" ")
    pid, started, boot, place = process.split(".")
    assert follows(me, f"{head} {pid}.{started}.{'0' * 8}.{place}")
    assert not follows(me, f"{head} 1.{started}.{boot}.{'0' * 8}")
    assert not follows(me, f"{head} 1.{holders._started(1)}.{boot}.{place}")
