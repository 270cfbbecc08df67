"""What the pages about rollouts answer."""

from __future__ import annotations

import msgspec

from collector.auth import COOKIE
from collector.web.rollouts import ROWS, shown_waves
from tests.collector.support import NOW, Home, Host
from tests.web.test_pages import HOSTILE, Markup, log_in, session
from wire.rollout import HostRecord, RolloutRecord, WaveRecord

BEFORE = {f"lib{number}": "1" for number in range(7)}
RECORD = RolloutRecord(
    id="20261122-031500-a1b2c3",
    deploy=f"patch {HOSTILE}",
    inventory="inventory/example.py",
    who="ada@desk",
    hostward="0.1.0",
    state="failed",
    started=NOW,
    finished=NOW + 90,
    message=f"web2 failed {HOSTILE}",
    waves=[
        WaveRecord(name="canary", state="done", hosts=["web1"]),
        WaveRecord(name="batch 1", state="failed", hosts=["web2", "web3"]),
    ],
    hosts={
        "web1": HostRecord(
            state="done",
            wave=0,
            started=NOW,
            finished=NOW + 30,
            changed=2,
            before={"shop": "1.0", "same": "3", "new": None},
            after={"shop": "1.1", "same": "3", "new": "2"},
        ),
        "web2": HostRecord(
            state="failed",
            wave=1,
            message=f"it is broken {HOSTILE}",
            outcome="rolled_back",
            before=BEFORE,
            after=dict.fromkeys(BEFORE, "2"),
        ),
        "web3": HostRecord(state="waiting", wave=1),
    },
)


def test_a_rollout_is_shown_wave_by_wave_with_what_changed_where(home: Home) -> None:
    """The list leads to it, hosts that home knows lead to their pages, and nothing of it is taken for markup."""
    host = Host(home.client, home.clock)
    assert host.enroll(home.token()).status_code == 200
    reader = {"Cookie": f"{COOKIE}={session(log_in(home))}"}
    assert "Home was told of no rollout yet" in Markup(home.client.get("/rollouts", headers=reader).text).words
    assert home.client.get("/rollouts/none", headers=reader).status_code == 404
    path = f"/rollouts/{RECORD.id}"
    body = msgspec.to_builtins(RECORD)
    told = home.client.request("PUT", f"/api/v1{path}", json=body, headers=home.bearer("operator"))
    assert told.status_code == 200

    listed = Markup(home.client.get("/rollouts", headers=reader).text)
    one = Markup(home.client.get(path, headers=reader).text)
    for markup in (listed, one):
        assert "1 of 3" in markup.words
        assert HOSTILE in markup.text
        assert not any("hostile" in attributes for _, attributes in markup.elements)
    links = [attributes.get("href") for name, attributes in listed.elements if name == "a"]
    assert path in links
    links = [attributes.get("href") for name, attributes in one.elements if name == "a"]
    assert f"/hosts/{host.id}" in links
    for words in ("canary", "batch 1", "shop 1.0 → 1.1", "new none → 2", "and 2 more", "rolled back", "30 s"):
        assert words in one.words, words
    assert "same 3" not in one.words
    fragment = home.client.get(path, headers={**reader, "HX-Request": "true"}).text
    assert "<html" not in fragment
    assert RECORD.id in fragment


def test_of_thousands_of_hosts_those_that_failed_are_shown_and_the_rest_is_counted() -> None:
    """Failed ones first, then those at work, in the order of their wave."""
    names = [f"web{number}" for number in range(6)]
    states = dict(zip(names, ("done", "done", "done", "running", "waiting", "failed"), strict=True))
    record = msgspec.structs.replace(
        RECORD,
        waves=[
            WaveRecord(name="canary", state="done", hosts=names[:3]),
            WaveRecord(name="batch 1", state="failed", hosts=names[3:]),
        ],
        hosts={name: HostRecord(state=state, wave=0) for name, state in states.items()},
    )
    canary, batch = shown_waves(record, rows=3)
    assert [name for name, _ in canary.hosts] == ["web0"]
    assert [name for name, _ in batch.hosts] == ["web3", "web5"]
    assert (canary.others, batch.others) == ({"done": 2}, {"waiting": 1})
    assert [(len(wave.hosts), wave.others) for wave in shown_waves(record)] == [(3, {}), (3, {})]


def test_the_page_of_a_rollout_of_thousands_of_hosts_counts_most_of_them(home: Home) -> None:
    """It says where the others are."""
    reader = {"Cookie": f"{COOKIE}={session(log_in(home))}"}
    names = [f"web{number}" for number in range(ROWS + 1200)]
    record = msgspec.structs.replace(
        RECORD,
        waves=[WaveRecord(name="all", state="running", hosts=names)],
        hosts={name: HostRecord(state="waiting" if name == names[-1] else "done", wave=0) for name in names},
    )
    body, path = msgspec.to_builtins(record), f"/rollouts/{RECORD.id}"
    assert home.client.request("PUT", f"/api/v1{path}", json=body, headers=home.bearer("operator")).status_code == 200
    one = Markup(home.client.get(path, headers=reader).text)
    assert f"And 1,200 more hosts: 1,199 done, 1 waiting. /api/v1{path} has them all." in one.words
    assert "web999" in one.words
    assert "web1000" not in one.words
