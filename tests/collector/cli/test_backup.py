"""`hostward-collector backup`: what an administrator sees and decides."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backup.stores.contract import FileKind
from collector import audit
from collector.backups import records
from collector.backups.keeping.keeper import BLIND
from collector.cli.dispatch import dispatch
from tests.collector.backups.keeping.conftest import inside as inside
from tests.collector.backups.keeping.yard import HOST, Yard, yard

pytestmark = pytest.mark.usefixtures("inside")

Call = Callable[..., str]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Yard]:
    """Five good days of web1."""
    with yard(tmp_path) as made:
        made.days(5)
        monkeypatch.setattr("time.time", made.clock)
        yield made


@pytest.fixture
def call(home: Yard, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Run a command with a policy, or with other settings; gives back what it prints."""

    def run(*words: str, code: int = 0, settings: str = "") -> str:
        config = tmp_path / "collector.toml"
        config.write_text(
            settings
            or f"""
[backups]
keep = {{ daily = 2 }}
keeping = {{ newest = 1, hold = "0s" }}
[backups.repositories.web1]
password_file = "{tmp_path / "password"}"
"""
        )
        capsys.readouterr()
        assert dispatch(["backup", *words, "--data-dir", str(tmp_path), "--config", str(config)]) == code
        said = capsys.readouterr()
        return said.out + said.err

    return run


def test_a_plan_is_what_keeping_then_does(home: Yard, call: Call) -> None:
    """By name of the host, with reasons, for people and for programs."""
    (plan,) = json.loads(call("plan", "web1", "--json"))
    (group,) = plan["groups"]
    going = [one["name"] for one in group["snapshots"] if not one["keep"]]
    assert len(going) == plan["removed"] == 3 and plan["policy"] == "keep 2 daily" and group["host"] == "web1"
    said = call("plan")
    assert "3 would be removed now" in said and all(name[:8] in said for name in going)
    assert call("keep", "--dry-run") == said
    (kept,) = json.loads(call("keep", "web1", "--json"))
    assert (kept["repository"], kept["outcome"], set(kept["removed"])) == ("web1", "done", set(going))
    assert not set(going) & home.snapshots()
    assert "nothing to remove" in call("keep")
    with home.database.read() as connection:
        (entry,) = audit.entries(connection, limit=10)
    assert entry.act == "backup.removed" and entry.actor.startswith("unix:") and entry.subject == f"repository:{HOST}"


def test_a_list_shows_how_repositories_stand(home: Yard, call: Call, tmp_path: Path) -> None:
    """With what home cannot do where it has no password."""
    call("keep")
    (found,) = json.loads(call("list", "--json"))
    assert (found["title"], found["snapshots"], found["policy"]) == ("web1", 2, "keep 2 daily")
    assert found["last_keep"]["outcome"] == "done" and found["limits"] == ""
    said = call("list")
    assert "web1" in said and "keep 2 daily: web1" in said
    assert max(map(len, said.splitlines())) <= 80
    said = call("list", settings="[backups]\nkeep = { daily = 2 }\n")
    assert BLIND in said and "in all" in said


def test_alerts_and_flags_are_seen_acknowledged_and_released_by_whom_is_written_down(home: Yard, call: Call) -> None:
    """Nothing is removed before that."""
    assert "no snapshot is flagged" in call("flags") and "there is no alert" in call("flags")
    empty = home.send(b"")
    assert "but for an alert" in call("keep", "web1")
    found = json.loads(call("flags", "--json"))
    assert [(one["snapshot"], one["flags"]) for one in found["flagged"]] == [(empty, ["shrunken"])]
    (alert,) = found["alerts"]
    assert alert["stops"] and alert["group"] == "web1 /srv"
    said = call("flags")
    assert empty[:8] in said and f"backup acknowledge {alert['id']}" in said
    assert "there is no alert 99" in call("acknowledge", "99", code=1)
    assert "is acknowledged" in call("acknowledge", str(alert["id"]))
    assert "has ended already" in call("acknowledge", str(alert["id"]), code=1)
    assert "not flagged" in call("release", "web1", max(home.snapshots() - {empty}), code=1)
    assert "is released" in call("release", "web1", empty[:10])
    assert "begins like that" in call("release", "web1", "xyz", code=1)
    assert "by unix:" in call("flags", "--all")
    with home.database.read() as connection:
        acts = [(one.act, one.actor.partition(":")[0]) for one in audit.entries(connection, limit=10)][::-1]
    assert acts == [("backup.acknowledged", "unix"), ("backup.released", "unix")]


def test_verifying_says_what_was_read(home: Yard, call: Call) -> None:
    """And without a password that it cannot be."""
    assert "no problem was found: 5 snapshots" in call("verify")
    (found,) = json.loads(call("verify", "--json"))
    assert (found["repository"], found["outcome"], found["snapshots"]) == ("web1", "done", 5)
    assert json.loads(call("verify", "--json", settings="[backups]\n")) == []
    assert "has no password" in call("verify", settings="[backups]\n")
    assert "password_file" in call("verify", "web1", settings="[backups]\n", code=1)


@pytest.mark.parametrize(
    ("settings", "said", "code"),
    [
        ("[history]\n", "home keeps no repositories", 1),
        ("[backups]\nkeep = {}\n", "keeps nothing: expected last", 2),
        ('[backups]\nkeep = { within = "soon" }\n', "no span of time", 2),
        ('[backups]\nkeeping = { at = "25:00" }\n', "expected a time of day", 2),
        ('[backups]\nkeeping = { verify_part = "1/5" }\n', "expected a share", 2),
        ('[backups.repositories.web1]\npassword_file = "/nowhere/at/all"\n', "No such file", 1),
    ],
)
def test_what_cannot_be_is_one_clear_sentence(home: Yard, call: Call, settings: str, said: str, code: int) -> None:
    """Of the configuration, and of what it names."""
    assert said in call("plan", settings=settings, code=code)


def test_a_repository_that_there_is_not_is_told(home: Yard, call: Call) -> None:
    """With where to look."""
    assert "backup list" in call("plan", "nobody", code=1)
    assert "has not saved anything" in call("keep", "web2", code=1)


def test_a_repository_that_is_gone_may_begin_anew_once_somebody_says_so(home: Yard, call: Call) -> None:
    """While it is there nothing is changed. It is an entry of the audit log."""
    assert "nothing was changed" in call("lost", "web1", code=1)
    assert "web1" in call("list")
    shutil.rmtree(home.place)
    assert "may begin anew" in call("lost", "web1")
    assert call("list") == "no host has a repository here yet\n"
    assert "web1" in call("lost", "web1", code=1)
    with home.database.read() as connection:
        (entry,) = audit.entries(connection, limit=1)
        assert not list(records.receipts(connection, home.name, FileKind.PACK))
    assert (entry.act, entry.subject) == ("backup.lost", f"repository:{HOST}")
