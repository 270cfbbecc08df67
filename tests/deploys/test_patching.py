"""The steps of a patch on hosts that hang, are full, or answer late. Hosts are simulated, step by step."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import NoReturn, cast

import msgspec
import pytest
from pyinfra.api.host import Host

import deploys.operations.run as running
from deploys.facts.services import Stale
from deploys.facts.survey import Survey
from deploys.operations.fail import StepError
from deploys.operations.packages import MANAGERS
from deploys.operations.packages.contract import Change
from deploys.operations.patching import after, asking, before, course
from deploys.operations.patching.options import PatchOptions
from deploys.operations.patching.record import Record
from deploys.operations.run import run
from tests.deploys.test_patch_refusals import STATUS, SURVEY, WELL
from wire.report import State

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


@pytest.mark.parametrize(("again", "expected"), [("ok", None), ("critical", "web: ok to critical")])
def test_a_soak_waits_until_checks_have_run_after_the_change(
    monkeypatch: pytest.MonkeyPatch, again: State, expected: str | None
) -> None:
    """What they said before it says nothing of it. What runs more rarely than the soak may last is not waited for,
    and what was amiss with the agent before is not the change's doing.
    """
    clock = [1000.0]

    def survey(_: Host) -> Survey:
        fresh = clock[0] >= 1060
        web = {"name": "web", "state": again if fresh else "ok", "time": 1060.0 if fresh else 990.0}
        checks = [
            web,
            {"name": "config", "state": "ok", "time": 999.0},
            {"name": "daily", "state": "ok", "time": 9.0},
        ]
        status = {**STATUS, "time": clock[0], "problem": "it does not keep up", "checks": checks}
        return msgspec.convert({**SURVEY, "status": status}, Survey)

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr(asking, "survey", survey)
    monkeypatch.setattr(asking, "services", lambda _: {})
    monkeypatch.setattr(after, "take", nothing)
    monkeypatch.setattr(after, "note", nothing)
    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    record = msgspec.structs.replace(RECORD, checks={"web": "ok"})
    assert "it does not keep up" in str(after.soak(HOST, PatchOptions(), record))
    clock[0] = 1000.0
    record = msgspec.structs.replace(record, problem="it does not keep up")
    assert after.soak(HOST, PatchOptions(), record) == expected
    assert clock[0] == (1060 if expected is None else 1300)


@pytest.mark.parametrize("worse", [None, "web: ok to critical"])
def test_a_reboot_alone_is_followed_by_a_soak(monkeypatch: pytest.MonkeyPatch, worse: str | None) -> None:
    """Against how the host stood before it; nobody is held off afterwards, whatever came of it."""
    did: list[object] = []

    def soak(_: Host, __: PatchOptions, before: Record) -> str | None:
        did.append(before.checks)
        return worse

    monkeypatch.setattr(asking, "survey", lambda _: msgspec.convert({**SURVEY, "status": WELL["status"]}, Survey))
    monkeypatch.setattr(asking, "services", lambda _: {})
    monkeypatch.setattr(course, "take", lambda *_: did.append("taken"))
    monkeypatch.setattr(course, "reboot", lambda *_: did.append("rebooted"))
    monkeypatch.setattr(course, "soak", soak)
    monkeypatch.setattr(course, "give_back", lambda *_: did.append("given back"))
    if worse is None:
        course.reboot_alone(HOST, PatchOptions(), "me")
    else:
        with pytest.raises(StepError, match=f"after its reboot: {worse}") as failed:
            course.reboot_alone(HOST, PatchOptions(), "me")
        assert failed.value.outcome == "broken"
    assert did == ["taken", "rebooted", {"web": "ok"}, "given back"]
