"""The steps of a patch on hosts that hang, are full, or answer late. Hosts are simulated, step by step."""

from __future__ import annotations

from types import SimpleNamespace
from typing import NoReturn, cast

import pytest
from pyinfra.api.host import Host

import deploys.operations.run as running
from deploys.facts.services import Stale
from deploys.operations.fail import StepError
from deploys.operations.packages import MANAGERS
from deploys.operations.packages.contract import Change
from deploys.operations.patching import after, asking, before, course
from deploys.operations.patching.options import PatchOptions
from deploys.operations.patching.record import Record
from deploys.operations.run import run

HOST = cast(Host, SimpleNamespace(name="one"))
CHANGE = Change("shop", "1.0", "1.1")
RECORD = Record(
    phase="installing",
    manager="apt",
    who="patch by me@here",
    changes=(CHANGE,),
    saved=("shop",),
    boot="b",
    ran={},
    failed=(),
    checks={},
)


def hangs(*_: object, **__: object) -> NoReturn:
    """A command that does not end in time."""
    raise TimeoutError


def nothing(*_: object, **__: object) -> None:
    """Tells nobody."""


def test_a_service_that_hangs_in_its_restart_is_a_reason_to_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said like that of one that fails, and not raised as a connection that was lost."""
    monkeypatch.setattr(after, "note", nothing)
    monkeypatch.setattr(after, "ran", hangs)
    monkeypatch.setattr(asking, "stale", lambda _: Stale(units=("shop.service",), reboot=False))
    said = after.renew(HOST, PatchOptions(), RECORD)
    assert said == "shop.service did not come back from its restart within 180 s"


def test_a_command_that_takes_too_long_leaves_the_host_as_one_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup or the packages put aside, for which nothing was changed yet, leave it alone."""
    monkeypatch.setattr(running, "ran", hangs)
    with pytest.raises(StepError, match="the backup failed: it took longer than 5 s") as late:
        run(HOST, "sleep 9", failing="the backup failed", timeout=5)
    assert late.value.outcome == "left_alone"
    monkeypatch.setattr(before, "run", nothing)
    monkeypatch.setattr(before, "ran", hangs)
    with pytest.raises(StepError, match="could not be saved within 1800 s") as late:
        before._save(HOST, MANAGERS["apt"], (CHANGE,))
    assert late.value.outcome == "left_alone"


def test_a_full_disk_before_the_first_change_leaves_the_host_alone_and_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be put on record is not begun, and nobody is held off for it."""
    said = []

    def full(*_: object, **__: object) -> NoReturn:
        raise StepError("record.json could not be written: No space left on device", "broken")

    monkeypatch.setattr(course, "keep", full)
    monkeypatch.setattr(course, "forget", lambda _: said.append("forgotten"))
    monkeypatch.setattr(course, "give_back", lambda _, who: said.append(who))
    with pytest.raises(StepError, match="No space left on device") as failed:
        course.begin(HOST, PatchOptions(), RECORD)
    assert failed.value.outcome == "left_alone"
    assert said == ["forgotten", RECORD.who]
