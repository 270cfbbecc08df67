"""A reboot is over when the host says that it is. The host is simulated."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import cast

import pytest
from pyinfra.api.host import Host

import deploys.operations.reboot as rebooting
import deploys.operations.run as running
from deploys.operations.fail import StepError
from deploys.operations.reboot import reboot
from deploys.operations.run import Ran

HOST = cast(Host, SimpleNamespace(name="one"))
DOWN = Ran(ok=False, output="", complaint="the system is going down")


def answers(patched: pytest.MonkeyPatch, said: list[Ran]) -> Iterator[Ran]:
    """Have the host say these, one for each look at its boot."""
    rest = iter(said)

    def ran(_host: Host, script: str, **_: object) -> Ran:
        return next(rest) if "boot_id" in script else Ran(ok=True, output="", complaint="")

    for module in (rebooting, running):
        patched.setattr(module, "ran", ran)
    patched.setattr(rebooting, "note", lambda *_: None)
    patched.setattr(rebooting, "permit", lambda *_: nullcontext(lambda: True))
    patched.setattr(rebooting, "drop", lambda _: None)
    patched.setattr(rebooting, "reconnect", lambda *_: True)
    patched.setattr(time, "sleep", lambda _: None)
    return rest


def boot(name: str) -> Ran:
    """The answer of a host that is up."""
    return Ran(ok=True, output=name, complaint="")


def test_a_command_that_fails_while_a_host_goes_down_is_no_new_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked at until another boot is named."""
    empty = boot("")
    rest = answers(monkeypatch, [boot("old"), DOWN, boot("old"), empty, DOWN, boot("new"), boot("later")])
    reboot(HOST, 60)
    assert next(rest).output == "later"


def test_a_host_whose_boot_is_not_known_is_not_rebooted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody could tell afterwards whether it was."""
    answers(monkeypatch, [DOWN])
    with pytest.raises(StepError, match="the system is going down") as failed:
        reboot(HOST, 60)
    assert failed.value.outcome == "broken"


def test_a_host_whose_leave_was_lost_waits_for_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another may reboot by then: nothing is done on it until there is leave anew."""
    held: list[bool] = []
    asked: list[str] = []
    answers(monkeypatch, [boot("old"), boot("old"), boot("new")])
    ran = rebooting.ran

    def heard(host: Host, script: str, **more: object) -> Ran:
        asked.extend(["reboot"] * ("systemctl reboot" in script))
        return cast(Ran, ran(host, script, **more))

    @contextmanager
    def permit(*_: object) -> Iterator[Callable[[], bool]]:
        held.append(bool(held))
        assert asked == []
        yield lambda: held[-1]

    monkeypatch.setattr(rebooting, "ran", heard)
    monkeypatch.setattr(rebooting, "permit", permit)
    reboot(HOST, 60)
    assert (held, asked) == ([False, True], ["reboot"])
