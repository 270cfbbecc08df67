"""Whether a wave left its hosts as well as it found them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.protocol import Health
from rollout.rules.gates import SEVERITY, pending, severity, unseen, worse, worse_at_home
from wire.status import Check


def agent(**checks: str) -> Health:
    """A host whose agent has these checks."""
    found = [Check(name=name, state=state, message="", time=0.0) for name, state in checks.items()]
    return Health(host="a", reachable=True, installed=True, running=True, checks=found)


STOPPED = Health(host="a", reachable=True, installed=True, running=False)
HUNG = Health(host="a", reachable=True, installed=True, running=True, problem="nothing was kept for 90 s")
NOBODY = Health(host="a", reachable=True, problem="a has no agent")
AWAY = Health(host="a", reachable=False, problem="a cannot be reached: it did not answer in time")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (agent(disk="ok"), agent(disk="ok"), ""),
        (agent(disk="critical"), agent(disk="critical"), ""),
        (agent(disk="critical"), agent(disk="warning"), ""),
        (agent(disk="ok"), agent(disk="warning"), "disk is warning"),
        (agent(disk="warning"), agent(disk="unknown"), "disk is unknown"),
        (agent(disk="ok"), agent(), ""),
        (agent(), agent(new="warning"), ""),
        (agent(), agent(new="critical"), "new is critical"),
        (agent(), agent(a="critical", b="critical", c="critical", d="critical"), "and 1 more"),
        (agent(), STOPPED, "its agent does not run"),
        (STOPPED, STOPPED, ""),
        (agent(), HUNG, "nothing was kept"),
        (NOBODY, HUNG, "nothing was kept"),
        (HUNG, HUNG, ""),
        (agent(), NOBODY, "its agent is gone"),
        (NOBODY, NOBODY, ""),
        (NOBODY, agent(disk="ok"), ""),
        (NOBODY, STOPPED, "its agent does not run"),
        (NOBODY, agent(disk="critical"), "disk is critical"),
        (agent(), AWAY, "it did not answer in time"),
        (AWAY, AWAY, "it did not answer in time"),
        (None, NOBODY, ""),
    ],
)
def test_a_host_may_be_as_bad_as_before_and_no_worse(before: Health | None, after: Health, said: str) -> None:
    """Check by check; a new check may warn, and a host without an agent has to be reachable."""
    reason = worse(before, after)
    assert (said in reason) if said else not reason


def test_the_gate_opens_after_enough_good_looks_in_a_row() -> None:
    """A bad one begins the row anew."""
    good, bad = agent(disk="ok"), agent(disk="critical")
    before = {"a": good}
    assert pending(before, {"a": [good, good]}, 3) == {"a": "it was not looked at often enough"}
    assert pending(before, {"a": [good, good, good]}, 3) == {}
    assert "disk is critical" in pending(before, {"a": [good, good, good, bad]}, 3)["a"]
    assert "disk is critical" in pending(before, {"a": [bad, good, good]}, 3)["a"]
    assert pending(before, {"a": [bad, good, good, good]}, 3) == {}


def test_results_of_before_the_deploy_are_told_from_those_of_after_it() -> None:
    """By the host's own clock. What runs rarely, or once, is not waited for."""

    def look(now: float, **times: float) -> Health:
        checks = [Check(name=name, state="ok", message="", time=time) for name, time in times.items()]
        return Health(host="a", reachable=True, installed=True, running=True, time=now, checks=checks)

    before = {"a": look(1000.0, cpu=995.0, disk=941.0, rare=900.0, config=999.0)}
    stale, half = look(1009.0, cpu=995.0, disk=941.0, rare=900.0), look(1014.0, cpu=1011.0, disk=941.0)
    assert unseen(before, {"a": [half, stale]}, 60.0) == {"a": "cpu, disk have not run since the deploy"}
    assert unseen(before, {"a": [stale, half]}, 60.0) == {"a": "disk has not run since the deploy"}
    assert unseen(before, {"a": [look(1060.0, cpu=1055.0, disk=1041.0)]}, 60.0) == {}
    assert unseen({"a": NOBODY}, {"a": [stale], "b": [stale], "c": []}, 60.0) == {}


def test_a_host_may_be_as_bad_at_home_as_before() -> None:
    """One that home does not know, or has not heard of yet, is no worse."""
    before = {"a": "ok", "b": "warning", "c": "critical", "d": "pending", "e": "ok"}
    assert worse_at_home(before, before) == {}
    after = {"a": "warning", "b": "ok", "c": "down", "d": "critical", "new": "critical"}
    assert worse_at_home(before, after) == {
        "a": "home has it as warning, and had it as ok before",
        "c": "home has it as down, and had it as critical before",
    }
    assert worse_at_home(before, {"e": "pending"}) == {}


STATES = st.dictionaries(st.sampled_from("abc"), st.sampled_from([*SEVERITY, "odd"]))


@settings(max_examples=60, deadline=None)
@given(before=STATES, after=STATES)
def test_better_never_closes_a_gate(before: dict[str, str], after: dict[str, str]) -> None:
    """It is closed exactly by checks that are worse than they were, or than a warning where they are new."""
    bad = {name for name, state in after.items() if severity(state) > severity(before.get(name, "warning"))}
    reason = worse(agent(**before), agent(**after))
    assert bool(reason) == bool(bad)
    assert all(f"{name} is {after[name]}" in reason for name in bad)
