"""Which hosts go in which wave."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.rules.amount import Amount
from rollout.rules.plan import By, Candidate, Plan, PlanError, Shape, plan


def hosts(count: int, *groups: str) -> list[Candidate]:
    """`a0`, `a1`… of these groups."""
    return [Candidate(f"{(groups or ('all',))[0]}{number}", groups) for number in range(count)]


def waves(made: Plan) -> list[tuple[str, list[str]]]:
    """As people read them."""
    return [(wave.name, list(wave.hosts)) for wave in made.waves]


def of(inventory: list[Candidate], shape: Shape) -> list[tuple[str, list[str]]]:
    """The waves of everybody."""
    return waves(plan(inventory, [host.name for host in inventory], shape))


def test_one_host_goes_first_and_then_a_quarter_of_the_others_at_a_time() -> None:
    """As long as nothing else is asked for."""
    assert of(hosts(9, "web"), Shape()) == [
        ("canary", ["web0"]),
        ("batch 1", ["web1", "web2"]),
        ("batch 2", ["web3", "web4"]),
        ("batch 3", ["web5", "web6"]),
        ("batch 4", ["web7", "web8"]),
    ]


def test_canaries_are_of_different_groups_or_who_is_named() -> None:
    """The first host of each group before a second of any."""
    inventory = [*hosts(3, "web"), *hosts(3, "db")]
    everybody = Amount(100, percent=True)
    assert of(inventory, Shape(canaries=Amount(2), batch=everybody))[0] == ("canary", ["web0", "db0"])
    assert of(inventory, Shape(canaries=Amount(3), batch=everybody))[0] == ("canary", ["web0", "web1", "db0"])
    assert of(inventory, Shape(named=("db1",), batch=everybody))[0] == ("canary", ["db1"])
    assert of(inventory, Shape(canaries=Amount(0), batch=Amount(4)))[0] == ("batch 1", ["web0", "web1", "db0", "db1"])


def test_a_group_is_never_in_one_wave_as_a_whole() -> None:
    """Who would complete it waits for the next wave; one host alone is a whole group, and the plan says so."""
    inventory = [*hosts(2, "web"), *hosts(1, "db")]
    everybody = Amount(100, percent=True)
    made = plan(inventory, [host.name for host in inventory], Shape(canaries=Amount(0), batch=everybody))
    assert waves(made) == [("batch 1", ["web0", "db0"]), ("batch 2", ["web1"])]
    assert made.whole == ("db",)
    # Of a group of which only a part is chosen, others keep on.
    assert waves(plan(inventory, ["web1"], Shape()))[0] == ("canary", ["web1"])
    # Hosts without any group are in nobody's way.
    assert of([Candidate("a"), Candidate("b")], Shape(canaries=Amount(0), batch=everybody)) == [
        ("batch 1", ["a", "b"])
    ]


def test_batches_go_group_by_group_or_zone_by_zone() -> None:
    """A share is one of each group or zone."""
    inventory = [
        Candidate(f"h{number}", ("even" if number % 2 == 0 else "odd",), "ab"[number // 4]) for number in range(8)
    ]
    half = Amount(50, percent=True)
    by_group = of(inventory, Shape(canaries=Amount(0), batch=half, by="group"))
    assert by_group == [
        ("batch 1 (even)", ["h0", "h2"]),
        ("batch 2 (even)", ["h4", "h6"]),
        ("batch 3 (odd)", ["h1", "h3"]),
        ("batch 4 (odd)", ["h5", "h7"]),
    ]
    by_zone = of(inventory, Shape(canaries=Amount(0), batch=half, by="zone"))
    assert [hosts for _, hosts in by_zone] == [["h0", "h1"], ["h2", "h3"], ["h4", "h5"], ["h6", "h7"]]
    assert by_zone[2][0] == "batch 3 (b)"


@pytest.mark.parametrize(
    ("chosen", "shape", "said"),
    [([], Shape(), "no host is chosen"), (["web1"], Shape(named=("web0",)), "the canary web0 is not among")],
)
def test_what_cannot_be_planned_is_refused(chosen: list[str], shape: Shape, said: str) -> None:
    """In words."""
    with pytest.raises(PlanError, match=said):
        plan(hosts(2, "web"), chosen, shape)


AMOUNTS = st.builds(Amount, st.integers(0, 12)) | st.builds(Amount, st.integers(0, 100), st.just(True))
GROUPS = st.lists(st.sampled_from(["web", "db", "mail", "dns"]), unique=True, max_size=3)
INVENTORIES = st.lists(st.tuples(GROUPS, st.sampled_from(["", "a", "b"])), min_size=1, max_size=12).map(
    lambda rows: [Candidate(f"h{number}", tuple(groups), zone) for number, (groups, zone) in enumerate(rows)]
)


@settings(max_examples=60, deadline=None)
@given(
    inventory=INVENTORIES, canaries=AMOUNTS, batch=AMOUNTS, by=st.sampled_from(["", "group", "zone"]), data=st.data()
)
def test_every_chosen_host_has_its_wave(
    inventory: list[Candidate], canaries: Amount, batch: Amount, by: By, data: st.DataObject
) -> None:
    """Exactly one; no wave is empty, larger than asked for, or all of a group of several. Each time the same."""
    names = [host.name for host in inventory]
    chosen = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    shape = Shape(canaries=canaries, batch=batch, by=by)
    made = plan(inventory, chosen, shape)
    assert made == plan(inventory, chosen, shape)
    assert sorted(host for wave in made.waves for host in wave.hosts) == sorted(chosen)
    first = [wave for wave in made.waves if wave.name.startswith("canary")]
    wanted = 0 if canaries == Amount(0) else min(canaries.at_least_one(len(chosen)), len(chosen))
    assert sum(len(wave.hosts) for wave in first) == wanted
    assert list(made.waves[: len(first)]) == first
    for wave in made.waves:
        assert wave.hosts
        assert wave in first or len(wave.hosts) <= batch.at_least_one(len(chosen))
        for group in {group for host in inventory for group in host.groups}:
            members = {host.name for host in inventory if group in host.groups}
            assert not members <= set(wave.hosts) or (len(members) == 1 and group in made.whole)
