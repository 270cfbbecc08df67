"""Windows and groups by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.collector.support import Home, Host, run


@pytest.fixture
def data(home: Home, host: Host, tmp_path: Path) -> Path:
    """The folder of a home that knows web1."""
    return tmp_path


def said(data: Path, *words: str, code: int = 0) -> str:
    """What a command prints, or complains."""
    done = run(*words, "--data-dir", str(data))
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


def test_a_window_is_opened_listed_and_closed(data: Path) -> None:
    """Who did it is on record; what cannot be is said in a sentence."""
    assert "no maintenance windows" in said(data, "window", "list")
    opened = said(data, "window", "open", "web1", "--for", "2h", "--reason", "new disks")
    [window] = json.loads(said(data, "window", "list", "--json"))
    assert window["id"] in opened
    assert (window["hosts"], window["reason"]) == (["web1"], "new disks")
    assert "new disks" in said(data, "window", "list")
    assert "there is no host named web9" in said(
        data, "window", "open", "web9", "--for", "2h", "--reason", "x", code=1
    )
    assert "--for is 30d" in said(data, "window", "open", "web1", "--for", "30d", "--reason", "x", code=2)
    said(data, "window", "close", window["id"])
    assert "is in force" in said(data, "window", "close", window["id"], code=1)
    assert json.loads(said(data, "window", "list", "--json")) == []
    assert len(json.loads(said(data, "window", "list", "--all", "--json"))) == 1
    acts = [entry["act"] for entry in json.loads(said(data, "audit", "list", "--json"))]
    assert {"window.opened", "window.closed"} <= set(acts)


def test_groups_and_tags_are_set_whole(data: Path) -> None:
    """And show in the list of hosts, for programs."""
    assert said(data, "host", "groups", "web1", "web", "shop", "--tag", "zone=a") == "web1: shop, web, zone=a\n"
    [row] = json.loads(said(data, "host", "list", "--json"))
    assert (row["groups"], row["tags"]) == (["shop", "web"], {"zone": "a"})
    assert said(data, "host", "groups", "web1") == "web1: none\n"
    assert "is not KEY=VALUE" in said(data, "host", "groups", "web1", "--tag", "zone", code=2)
    assert "letters, digits" in said(data, "host", "groups", "web1", "a b", code=2)
    assert "there is no host" in said(data, "host", "groups", "nobody", "web", code=1)
