"""Deploys that are carried out on hosts that behave in every way."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import psutil

from rollout.child import Engine
from rollout.protocol import Answer, Ask, Began, Ended, GiveBack, Order, Phase, Planned, Spared, Versions
from rollout.uptime import uptime
from tests.rollout.engine.support import carried_out, ended, of, write

EVERY_WAY = """\
from pyinfra import host
from pyinfra.facts.server import Hostname
from pyinfra.operations import python, server
from deploys.kit import notes
from deploys.kit.permits import permit
from deploys.operations.fail import StepError, attempt

kind = host.data.kind
host.get_fact(Hostname)
print("a stray word")
if kind == "python":
    missing
if kind == "exits":
    raise SystemExit(0)
if kind == "asks":
    input("well? ")

def work(host):
    notes.note(host, notes.Phase("at it"))
    notes.note(host, notes.Versions({"a": "1"}, {"a": "2"}))
    if kind == "told":
        raise StepError("the service did not come back", "rolled_back")
    with permit(host, "reboot"):
        server.shell(name="within", commands=["true"])
    notes.note(host, notes.Result({"rows": [1]}, ("a row: 1",)))
    notes.note(host, notes.Result({"rows": [2]}, ("a row: 2",)))

def fails(host):
    raise StepError("of no matter", "broken")

def raises():
    raise ValueError("no such thing")

if kind in ("told", "refused", "good"):
    attempt(work, name="first")
if kind == "bad":
    attempt(fails, outcome="broken", name="first", _ignore_errors=True)
if kind == "callback":
    python.call(name="first", function=raises)
server.shell(name="second", commands=["make it so"])
server.shell(name="third", commands=["never mind"], _ignore_errors=True)
"""


def test_each_host_ends_once_in_its_own_way_and_disturbs_no_other(tmp_path: Path) -> None:
    """Good and bad ones in one wave: what each of them says, and what is said of it."""
    sudo = {"success": False, "stderr": ["", "sudo: 1 incorrect password attempt"]}
    write(
        tmp_path,
        EVERY_WAY,
        {
            "@fake/good": {"kind": "good", "fake_responses": {"never mind": {"success": False}}},
            "@fake/refused": {"kind": "refused"},
            "@fake/told": {"kind": "told"},
            "@fake/python": {"kind": "python"},
            "@fake/exits": {"kind": "exits"},
            "@fake/asks": {"kind": "asks"},
            "@fake/callback": {"kind": "callback"},
            "@fake/bad": {
                "kind": "bad",
                "fake_responses": {"make it so": {"success": False, "stderr": "it is not so"}},
            },
            "@fake/fact": {"kind": "", "fake_responses": {"uname": sudo}},
            "@fake/hangs": {"kind": "", "fake_delay": 1000},
            "absent": {"kind": "", "ssh_hostname": "127.0.0.1", "ssh_port": 1},
        },
    )
    said = carried_out(
        tmp_path,
        answer=lambda ask: Answer(number=ask.number, granted=ask.host == "@fake/good", reason="two hosts reboot"),
        timeout=24.0,
    )
    ends = ended(said)
    assert {name.removeprefix("@fake/"): (end.state, end.message, end.outcome) for name, end in ends.items()} == {
        "good": ("done", "", None),
        "refused": ("failed", "no leave for reboot: two hosts reboot", "broken"),
        "told": ("failed", "the service did not come back", "rolled_back"),
        "python": ("failed", "deploy.py line 12: NameError: name 'missing' is not defined", "left_alone"),
        "exits": ("failed", "deploy.py line 14: SystemExit: 0", "left_alone"),
        "asks": ("failed", "deploy.py line 16: EOFError: EOF when reading a line", "left_alone"),
        "callback": ("failed", "first failed: ValueError: no such thing", None),
        "bad": ("failed", "second failed: it is not so", None),
        "fact": (
            "failed",
            "the host could not be looked at: sudo refuses: 1 incorrect password attempt",
            "left_alone",
        ),
        "hangs": (
            "failed",
            "the host was not done within 24 s; its time was over before anything was done",
            "left_alone",
        ),
        "absent": ("unreachable", "absent cannot be reached: it refuses connections", "left_alone"),
    }
    assert of(Ended, said)[-1].host == "@fake/hangs"
    assert {began.host for began in of(Began, said)} == set(ends) - {"absent"}
    good = ends["@fake/good"]
    assert (good.changed, good.data) == (2, {"rows": [1, 2]})
    assert good.lines == ("a row: 1", "a row: 2")
    assert [phase.text for phase in of(Phase, said) if phase.host == good.host] == [
        "first",
        "at it",
        "second",
        "third",
    ]
    assert Versions(host=good.host, before={"a": "1"}, after={"a": "2"}) in said
    asked = {ask.number for ask in of(Ask, said)}
    assert len(asked) == 2
    assert {back.number for back in of(GiveBack, said)} == asked
    assert "a stray word" in (tmp_path / "log").read_text()
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600


FEW = """\
from pathlib import Path
from pyinfra import host
from pyinfra.operations import python

def tell(what, fails):
    with Path("told").open("a") as file:
        print(what, file=file)
    if fails:
        raise ValueError("it breaks")

python.call(name="for all", function=tell, what="once", fails=False, _run_once=True)
python.call(name="each", function=tell, what="each", fails=False)
python.call(name="one by one", function=tell, what="serial", fails=True, _serial=True)
python.call(name="never", function=tell, what="never", fails=False)
"""


def test_an_operation_for_few_hosts_at_a_time_harms_only_the_first(tmp_path: Path) -> None:
    """The others are left where they are; what one host does for all is done once; that none is left is no error."""
    names = [f"@fake/{number}" for number in range(5)]
    write(tmp_path, FEW, {name: {} for name in names})
    ends = ended(carried_out(tmp_path, hosts=names[:4], parallel=3))
    assert sorted(ends) == names[:4]
    assert {end.state for end in ends.values()} == {"failed"}
    told = (tmp_path / "told").read_text().split()
    assert [told.count(what) for what in ("once", "each", "serial", "never")] == [1, 4, 1, 0]
    broke = next(name for name, end in ends.items() if end.message == "one by one failed: ValueError: it breaks")
    rest = {end.message for name, end in ends.items() if name != broke}
    assert rest == {f"it did not start one by one, which failed on {broke}"}


DRY = """\
from io import StringIO
from pyinfra import host
from pyinfra.operations import files, server
from deploys.kit.secret import Secret

token = Secret(file="token").read().decode()
files.put(name="place", src=StringIO(f"a word\\x9b2J\\nkey {token}\\n"), dest="/etc/x", create_remote_dir=False)
server.shell(name=f"register {host.data.some_password}", commands=["true"])
files.directory(name="nothing", path="/gone", present=False)
"""


def test_no_host_is_begun_once_too_many_failed(tmp_path: Path) -> None:
    """The others are told as spared; those that were begun go on to their end."""
    deploy = (
        "from pyinfra import host\nfrom pyinfra.operations import server\n"
        "if host.data.get('bad'):\n    raise ValueError('no')\nserver.shell(name='x', commands=['true'])\n"
    )
    names = [f"@fake/{number}" for number in range(4)]
    write(tmp_path, deploy, {name: {"bad": name == names[1]} for name in names})
    said = carried_out(tmp_path, hosts=names, parallel=1, failures=0)
    assert {name: end.state for name, end in ended(said).items()} == {names[0]: "done", names[1]: "failed"}
    assert [spared.host for spared in of(Spared, said)] == names[2:]
    assert len(ended(carried_out(tmp_path, hosts=names, parallel=1, failures=1))) == 4
    assert len(ended(carried_out(tmp_path, hosts=names, failures=0))) == 4


def test_a_dry_run_says_what_would_change_and_no_secret(tmp_path: Path) -> None:
    """With the differences of files; what an operation finds as it should be is not told."""
    (tmp_path / "token").write_text("s3cr3t-token\n")
    write(tmp_path, DRY, {"@fake/one": {"some_password": "hunter2"}})
    said = carried_out(tmp_path, task="dry", diff=True)
    place, register = of(Planned, said)
    assert place.operation == "place"
    assert place.diff.splitlines() == ["Will create /etc/x", "@@ -0,0 +1,2 @@", "+ a word\x9b2J", "+ key *****"]
    assert register.operation == "register *****"
    assert (ended(said)["@fake/one"].state, ended(said)["@fake/one"].changed) == ("done", 2)
    printed = (tmp_path / "log").read_text()
    assert "key *****" in printed
    assert "s3cr3t" not in printed
    assert "hunter2" not in printed
    assert "a word\N{REPLACEMENT CHARACTER}2J" in printed
    assert "\x9b" not in printed


def test_what_a_wave_prints_fills_no_disk(tmp_path: Path) -> None:
    """A deploy that never stops printing is cut, and says so; it goes on to its end."""
    write(tmp_path, 'import pyinfra\nfor _ in range(40):\n    pyinfra.logger.info("x" * 2**20)\n', {"@fake/one": {}})
    assert ended(carried_out(tmp_path))["@fake/one"].state == "done"
    printed = (tmp_path / "log").read_text()
    assert 2**25 <= len(printed) < 2**25 + 2**21
    assert printed.endswith("(after 33554432 characters the rest of what is printed is left out)\n")


LEAVE = """\
import time
from pyinfra import host
from deploys.kit import notes
from deploys.kit.permits import permit
from deploys.operations.fail import attempt

def work(host):
    with permit(host, "reboot") as holds:
        while holds():
            notes.note(host, notes.Phase("has leave"))
            time.sleep(0.05)
    notes.note(host, notes.Phase("has none"))

attempt(work, name="first")
"""


def test_leave_ends_when_the_runner_says_so_and_when_its_time_is_over(tmp_path: Path) -> None:
    """One that slept with the machine hears of neither before it looks."""
    write(tmp_path, LEAVE, {"@fake/lost": {}, "@fake/over": {}, "@fake/late": {}})
    numbers: dict[int, str] = {}

    def granted(ask: Ask) -> Answer:
        numbers[ask.number] = ask.host
        until = {"@fake/lost": None, "@fake/over": uptime() + 0.5, "@fake/late": uptime() - 1}[ask.host]
        return Answer(number=ask.number, granted=True, until=until)

    def lost(ask: Ask, phases: list[str]) -> Answer | None:
        if ask.host == "@fake/lost" and "has leave" in phases:
            return Answer(number=ask.number, granted=False, reason="another has it")
        return None

    said = carried_out(tmp_path, answer=granted, later=lost)
    found = {host: [phase.text for phase in of(Phase, said) if phase.host == host] for host in numbers.values()}
    assert "has leave" in found["@fake/lost"]
    assert "has leave" not in found["@fake/late"]
    assert all(phases[-1] == "has none" for phases in found.values())
    assert {end.state for end in ended(said).values()} == {"done"}


def test_services_wait_for_leave_and_not_for_a_turn_in_a_wave(tmp_path: Path, repository: Path) -> None:
    """A turn that was waited for would be time of the host's; and none is asked for where all may at once."""
    answers = {
        "LoadState": "loaded",
        "date +": "1.0",
        "ActiveState": "ActiveState=active\nSubState=running\nNRestarts=0\n",
    }
    table = {"units": ["shop.service"], "steady": 0.1}
    write(tmp_path, "", {f"@fake/{name}": {"fake_responses": answers, "services": table} for name in "ab"})
    order = Order(
        task="deploy", inventory="inventory.py", deploy=str(repository / "deploys/services.py"), folder=str(tmp_path)
    )
    with Engine() as engine, engine.wave(order, tmp_path / "log") as wave:
        said = []
        for message in wave.messages():
            assert message is not None
            said.append(message)
            if isinstance(message, Ask) and len(asks := of(Ask, said)) == 2:
                for ask in asks:
                    wave.answer(Answer(number=ask.number, granted=True))
    assert {end.state for end in ended(said).values()} == {"done"}, said
    assert {(ask.host, ask.what) for ask in of(Ask, said)} == {
        (f"@fake/{name}", "service shop.service") for name in "ab"
    }
    said = carried_out(tmp_path, deploy=order.deploy, data={"services.rolling": "false"})
    assert {end.state for end in ended(said).values()} == {"done"}
    assert of(Ask, said) == []


def test_a_wave_does_not_outlive_its_runner(tmp_path: Path) -> None:
    """Nothing goes on changing hosts that nobody keeps a journal of."""
    write(
        tmp_path, "from pyinfra.operations import server\nserver.shell(['true'])", {"@fake/a": {"fake_delay": 1000}}
    )
    order = Order(
        task="deploy", inventory="inventory.py", deploy="deploy.py", folder=str(tmp_path), log=str(tmp_path / "log")
    )
    words = [sys.executable, "-m", "rollout.engine"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(msgspec.json.encode(order) + b"\n")
            process.stdin.flush()
            assert b"began" in process.stdout.readline()
            process.stdin.close()
            assert process.wait(30) == 70
        finally:
            process.kill()


def test_a_mistake_of_one_host_stops_all_of_its_wave(tmp_path: Path, repository: Path) -> None:
    """Also those that come to it before that one is connected."""
    hosts: dict[str, dict[str, Any]] = {f"@fake/h{number}": {"agent": {}} for number in range(6)}
    hosts["@fake/h5"] = {"agent": {"config": {"checks": {"disk": {"evry": "1m"}}}}}
    write(tmp_path, "", hosts)
    ends = ended(carried_out(tmp_path, deploy=str(repository / "deploys/agent.py")))
    assert {end.state for end in ends.values()} == {"failed"}
    told = {name: end.message.partition("agent.toml:")[0] for name, end in ends.items()}
    assert told == {name: "" if name == "@fake/h5" else "@fake/h5: " for name in hosts}
    assert {end.outcome for end in ends.values()} == {"left_alone"}


def test_a_wave_that_is_killed_says_so(tmp_path: Path) -> None:
    """By the runner, or by somebody else; and nothing of it is left."""
    write(
        tmp_path, "from pyinfra.operations import server\nserver.shell(['true'])", {"@fake/a": {"fake_delay": 1000}}
    )
    order = Order(task="deploy", inventory="inventory.py", deploy="deploy.py", folder=str(tmp_path))
    mine = psutil.Process()
    others = mine.children()
    with Engine() as engine, engine.wave(order, tmp_path / "log") as wave:
        told = wave.messages(tick=0.05)
        assert next(told) is None
        wave.kill()
        assert [message for message in told if message is not None] == []
        assert wave.died() == "the process of the wave was ended by the runner"
    with Engine() as engine, engine.wave(order, tmp_path / "log") as wave:
        messages = wave.messages()
        assert isinstance(next(messages), Began)
        [process] = [child for child in mine.children() if child not in others]
        [child] = process.children()
        child.send_signal(signal.SIGKILL)
        assert ended([message for message in messages if message is not None]) == {}
        assert wave.died() == f"the process of the wave was killed by signal 9; what it printed is in {tmp_path}/log"
