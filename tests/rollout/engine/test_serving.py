"""Several orders, one after the other, by one process: each as if it were the only one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import psutil

from rollout.child import Engine, Wave
from rollout.protocol import LOOKED, Answer, Described, Ended, Health, Looked, Message, Order, Refused
from tests.rollout.engine.support import ended, of, write

ONE_OF_TWO = """
import os
from pyinfra.operations import server

if os.environ.get("BEEN_HERE"):
    raise RuntimeError("not the first")
os.environ["BEEN_HERE"] = "yes"
server.shell(["true"])
"""


def said_by(wave: Wave) -> list[Message]:
    """All of it. Fails unless it was told to its end."""
    said = [message for message in wave.messages() if message is not None]
    assert wave.died() is None
    return said


def order(folder: Path, task: str = "deploy", **more: object) -> Order:
    """For the folder's inventory and deploy."""
    base = Order(task="deploy", inventory="inventory.py", deploy="deploy.py", folder=str(folder))
    return msgspec.structs.replace(base, task=task, **more)


def test_an_order_knows_nothing_of_the_one_before(tmp_path: Path) -> None:
    """Neither its hosts, of which one failed, nor what it left in the process; and each has its own log."""
    write(tmp_path, ONE_OF_TWO, {"@fake/a": {}, "@fake/b": {}})
    mine = psutil.Process()
    others = mine.children()
    with Engine() as engine:
        with engine.wave(order(tmp_path, "describe"), tmp_path / "read") as wave:
            assert [host.host for host in of(Described, said_by(wave))] == ["@fake/a", "@fake/b"]
        [process] = [child for child in mine.children() if child not in others]
        for log in ("first", "second"):
            with engine.wave(order(tmp_path), tmp_path / log) as wave:
                found = {host: (end.state, end.changed) for host, end in ended(said_by(wave)).items()}
            assert sorted(state for state, _ in found.values()) == ["done", "failed"], found
            assert "Connected" in (tmp_path / log).read_text()
            assert [child for child in mine.children() if child not in others] == [process]
            assert process.children() == []
            assert process.num_threads() == 1
        assert (tmp_path / "read").read_text() == ""
    assert [child for child in mine.children() if child not in others] == []


def test_an_order_that_is_refused_or_killed_is_not_the_last(tmp_path: Path) -> None:
    """The next one is carried out, by a new process where the old one is gone."""
    write(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", {"@fake/a": {}})
    mine = psutil.Process()
    others = mine.children()
    with Engine() as engine:
        with engine.wave(order(tmp_path, inventory="none.py"), tmp_path / "log") as wave:
            assert of(Refused, said_by(wave))
        with engine.wave(order(tmp_path, log="elsewhere"), tmp_path / "no" / "log") as wave:
            [refused] = of(Refused, said_by(wave))
        assert refused.message == f"the log {tmp_path}/no/log cannot be written: No such file or directory"
        [process] = [child for child in mine.children() if child not in others]
        with engine.wave(order(tmp_path), tmp_path / "log") as wave:
            assert of(Ended, [message for message in wave.messages() if message is not None]) == []
            assert (
                wave.died() == f"the process of the wave was killed by signal 9; what it printed is in {tmp_path}/log"
            )
        (tmp_path / "deploy.py").write_text("import os\nos._exit(5)\n")
        with engine.wave(order(tmp_path), tmp_path / "log") as wave:
            assert of(Ended, [message for message in wave.messages() if message is not None]) == []
            assert wave.died() == f"the process of the wave ended with 5; what it printed is in {tmp_path}/log"
        (tmp_path / "deploy.py").write_text("")
        for _ in range(2):
            with engine.wave(order(tmp_path), tmp_path / "log") as wave:
                assert ended(said_by(wave))["@fake/a"].state == "done"
            assert process not in mine.children()
            [process] = [child for child in mine.children() if child not in others]
            process.kill()  # while nothing is to be done
            process.wait()


def test_leaving_a_wave_in_the_middle_ends_it(tmp_path: Path) -> None:
    """As when what it says cannot be kept; the next order is not mixed with what is left of it."""
    write(tmp_path, "import time\ntime.sleep(1000)\n", {"@fake/a": {}})
    with Engine() as engine:
        with engine.wave(order(tmp_path), tmp_path / "log") as wave:
            next(wave.messages())
        (tmp_path / "deploy.py").write_text("")
        with engine.wave(order(tmp_path), tmp_path / "log") as wave:
            assert ended(said_by(wave))["@fake/a"].state == "done"


def test_an_answer_that_comes_too_late_is_nobodys(tmp_path: Path) -> None:
    """It was meant for an order that is carried out."""
    write(tmp_path, "", {"@fake/a": {}})
    with Engine() as engine:
        with engine.wave(order(tmp_path), tmp_path / "log") as wave:
            said_by(wave)
            for number in range(3):
                wave.answer(Answer(number=number, granted=True))
        with engine.wave(order(tmp_path), tmp_path / "log") as wave:
            assert ended(said_by(wave))["@fake/a"].state == "done"


def test_nothing_begins_before_it_is_kept_how_the_hosts_were(tmp_path: Path) -> None:
    """The deploy waits for the runner, and without one there is none."""
    write(tmp_path, "", {"@fake/a": {}, "@fake/b": {}})
    with Engine() as engine:
        with engine.wave(order(tmp_path, look=["@fake/b"]), tmp_path / "log") as wave:
            messages = wave.messages(tick=0.5)
            said = [message for message in iter(lambda: next(messages), Looked()) if message is not None]
            assert [type(one) for one in said] == [Health]
            assert next(messages) is None
            wave.answer(Answer(number=LOOKED, granted=True))
            assert set(ended([message for message in messages if message is not None])) == {"@fake/a", "@fake/b"}
        with engine.wave(order(tmp_path, look=["@fake/a"]), tmp_path / "log") as wave:
            messages = wave.messages()
            while not isinstance(next(messages), Looked):
                pass
    assert (tmp_path / "log").read_text().count("[@fake/a] Connected") == 2


def test_what_is_no_order_ends_it() -> None:
    """With a sentence; and without any it ends too."""
    words = [sys.executable, "-P", "-m", "rollout.engine"]
    for given, code, said in ((b"{}\n", 2, "no order"), (b"\xff\n", 2, "no order"), (b"", 0, "")):
        done = subprocess.run(words, input=given, capture_output=True, timeout=60)
        assert (done.returncode, said in done.stderr.decode(), done.stdout) == (code, True, b"")
        assert "Traceback" not in done.stderr.decode()


def test_no_wave_can_be_had_where_no_process_can_be(tmp_path: Path) -> None:
    """It is refused in a sentence, as an inventory is."""
    write(tmp_path, "", {"@fake/a": {}})
    program = (
        "import errno, sys\n"
        "from gevent import monkey; monkey.patch_all()\n"
        "from rollout.engine import serve\n"
        "def fork(): raise OSError(errno.EAGAIN, 'Resource temporarily unavailable')\n"
        "serve.fork_gevent = fork\n"
        "sys.exit(serve.serve(0, 1, lambda order: None, None))\n"
    )
    given = msgspec.json.encode(order(tmp_path, log=str(tmp_path / "log"))) + b"\n"
    done = subprocess.run([sys.executable, "-c", program], input=given, capture_output=True, timeout=60)
    assert [msgspec.json.decode(line) for line in done.stdout.splitlines()] == [
        {
            "type": "refused",
            "message": "the process of the wave cannot be started: Resource temporarily unavailable",
        },
        {"type": "told"},
    ]
