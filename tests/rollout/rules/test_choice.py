"""Which hosts `--limit` means."""

from __future__ import annotations

import pytest

from rollout.rules.choice import choose
from rollout.rules.plan import Candidate, PlanError

INVENTORY = [
    Candidate("web1", ("web", "debian_12")),
    Candidate("web2", ("web",)),
    Candidate("db1", ("db", "debian_12")),
    Candidate("mail", ()),
]


@pytest.mark.parametrize(
    ("limits", "meant"),
    [
        ([], "web1 web2 db1 mail"),
        (["all"], "web1 web2 db1 mail"),
        (["web"], "web1 web2"),
        (["db1,web"], "web1 web2 db1"),
        (["db1", "web2"], "web2 db1"),
        (["web*"], "web1 web2"),
        (["*1"], "web1 db1"),
        (["web,&debian_12"], "web1"),
        (["&web,&debian_12"], "web1"),
        (["all,!web"], "db1 mail"),
        (["!web1"], "web2 db1 mail"),
    ],
)
def test_hosts_are_chosen_by_name_and_group(limits: list[str], meant: str) -> None:
    """In the inventory's order, however they are named."""
    assert choose(INVENTORY, limits) == meant.split()


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (["wbe"], '"wbe" is neither a host'),
        (["web,!web"], "no host is left of --limit web,!web"),
        (["!nobody"], '"nobody"'),
    ],
)
def test_nobody_is_a_mistake(limits: list[str], said: str) -> None:
    """Also where a name was mistyped that would only have left something out."""
    with pytest.raises(PlanError, match=said):
        choose(INVENTORY, limits)
