"""A deploy's options, from every level of an inventory's data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pyinfra.api.inventory import Inventory

from deploys.collector import CollectorOptions
from deploys.kit.alone import run_alone
from deploys.kit.options import OptionsError, merged, options
from deploys.services import ServicesOptions
from tests.deploys.support import REPOSITORY


class Soak(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table in a table."""

    samples: int = 3
    every: str = "5s"


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a deploy might take."""

    select: str = "security"
    soak: Soak = Soak()
    order: list[str] = []


def inventory(override: dict[str, Any] | None = None) -> Inventory:
    """A host in two groups, with data on each level."""
    return Inventory(
        ([("web1", {"patch": {"soak": {"samples": 7}}})], {"patch": {"select": "all", "order": ["a"]}}),
        override_data=override,
        web=(["web1"], {"patch": {"soak": {"every": "1s", "samples": 5}}}),
        slow=(["web1"], {"patch": {"soak": {"every": "9s"}, "order": ["b", "c"]}}),
    )


def test_tables_are_merged_host_over_group_over_all() -> None:
    """A later group is over an earlier one; a list is replaced whole; the command line is above them all."""
    host = inventory().get_host("web1")
    assert options(host, "patch", Options) == Options("all", Soak(7, "9s"), ["b", "c"])
    host = inventory({"patch.soak.samples": "2", "patch.select": "none"}).get_host("web1")
    assert options(host, "patch", Options) == Options("none", Soak(2, "9s"), ["b", "c"])
    assert options(host, "other", Options) == Options()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ({"patch.soak.samples": "many"}, 'web1: patch.soak.samples: expected a whole number, found the text "many"'),
        ({"patch.sok": 1}, 'web1: patch.sok: there is no such key here; did you mean "soak"?'),
        ({"patch.order": ["a", None]}, "web1: patch: order[1]: Expected `str`, got `null`"),
        ({"patch": 3}, "web1: patch is 3; expected a table"),
        ({"patch.soak": "hunter22"}, "web1: patch.soak: expected a table, found a text (a secret, not shown)"),
    ],
)
def test_what_cannot_be_is_said_with_its_place(override: dict[str, Any], said: str) -> None:
    """The host, the table, the key."""
    with pytest.raises(OptionsError) as wrong:
        options(inventory(override).get_host("web1"), "patch", Options)
    assert str(wrong.value) == said


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://hostward@db:54e2/home", "with a number after a colon of the host's"),
        ("mysql://hostward@db/home", "expected postgresql://ROLE@HOST/DATABASE"),
        ("postgresql://hostward:hunter22@db/home", "expected the password beside the address, not in it"),
    ],
)
def test_an_address_of_homes_database_is_looked_at_with_the_data(url: str, said: str) -> None:
    """So that it is in no plan; a password that stands in it shows nowhere."""
    host = inventory({"collector.database.url": url}).get_host("web1")
    with pytest.raises(OptionsError, match=said) as wrong:
        options(host, "collector", CollectorOptions)
    assert str(wrong.value).startswith("web1: collector")
    assert "hunter22" not in str(wrong.value)


@pytest.mark.parametrize(
    ("override", "said"),
    [({}, 'services: needs the key "units"'), ({"services.units": []}, "services.units: expected an array of items")],
)
def test_restarting_nothing_is_a_mistake(override: dict[str, Any], said: str) -> None:
    """The group's name may be, or the table's: nobody should believe that something was restarted."""
    with pytest.raises(OptionsError, match=said):
        options(inventory(override).get_host("web1"), "services", ServicesOptions)


def test_merging_changes_none_of_its_tables() -> None:
    """They are the inventory's, for all of its hosts."""
    below, above = {"a": {"b": 1}}, {"a": {"c": 2}}
    assert merged([below, above]) == {"a": {"b": 1, "c": 2}}
    assert (below, above) == ({"a": {"b": 1}}, {"a": {"c": 2}})


# Loading what reads inventories changes the standard library under the feet of whatever else the process does.
ASKING = """\
import json
from pyinfra.api.state import State
from pyinfra.context import ctx_state
from pyinfra_cli.inventory import make_inventory
from deploys.kit.options import table
with ctx_state.use(State()):
    found = make_inventory("inventory/example.py", cwd=".")
print(json.dumps({host.name: [host.groups, table(host, "agent"), table(host, "patch")] for host in found}))
"""


def test_the_example_says_what_its_comments_say() -> None:
    """As pyinfra's command line reads it."""
    done = subprocess.run([sys.executable, "-c", ASKING], cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {name for name, (groups, _, _) in found.items() if "web" in groups} == {
        "web1.example.net",
        "web2.example.net",
    }
    checks = found["web2.example.net"][1]["config"]["checks"]
    assert checks == {"disk": {"used": {"warning": 90, "critical": 95}}, "systemd": {"units": ["nginx"]}}
    assert found["db1.example.net"][2] == {"select": "security", "reboot": False}


@pytest.mark.parametrize("slip", [False, True])
def test_a_file_that_is_executed_calls_its_module_and_one_that_is_imported_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, slip: bool
) -> None:
    """As pyinfra executes deploys: without a module round them. A table that none of them has is told before."""
    called: list[str] = []

    class Module:
        """Stands for the module that the file also is."""

        @staticmethod
        def probe() -> None:
            """What it does."""
            called.append("by itself")

    monkeypatch.setitem(sys.modules, "deploys.probe", Module)
    given = {"backupp.only": 1} if slip else {"mine.only": 1, "backup.only": 2}
    monkeypatch.setattr("deploys.kit.alone.host", inventory(given).get_host("web1"))

    def probe() -> None:
        raise AssertionError("the copy of the executed namespace must not be called")

    run_alone({"__file__": "deploys/probe.py", "__spec__": object()}, probe)
    assert called == []
    if slip:
        with pytest.raises(OptionsError, match="there is no table backupp; did you mean backup"):
            run_alone({"__file__": str(tmp_path / "deploys/probe.py")}, probe)
        return
    run_alone({"__file__": str(tmp_path / "deploys/probe.py")}, probe)
    assert called == ["by itself"]
