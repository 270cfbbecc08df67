"""The watcher of logs, as a process, with the kernel's events and writers beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from agent.daemon.notify import Notifier
from agent.logs.watch.server import REST, Watcher
from agent.logs.watch.work import Places
from kit.errors import HostwardError
from tests.agent.daemon.daemons import HOSTWARD
from tests.agent.logs.watch.watching import Host, lines_of, until, writing
from tests.agent.tmpfs import small_disk
from tests.require import require_root

MiB = 2**20


@pytest.fixture
def host(tmp_path: Path) -> Host:
    tmp_path.chmod(0o755)
    return Host(tmp_path)


def test_logs_that_are_written_to_are_rotated_by_size_and_lose_no_line(host: Host) -> None:
    """Again and again while somebody writes, and each is compressed beside that."""
    host.configure(size='"300KiB"', count="100", then='{ command = ["/bin/true"] }')
    log = host.logs / "app.log"
    log.touch()
    with host.watching(), writing(log, 20_000) as writer:
        assert writer.wait(60) == 0
        until(lambda: host.told().rotations >= 2)
        until(lambda: host.old() and all(path.suffix == ".zst" for path in host.old()))
    found = lines_of([*host.old(), log])
    assert sorted(int(line[:8]) for line in found) == list(range(20_000))
    told = host.told()
    assert (told.failures, told.trouble) == (0, "")
    assert told.freed > 300 * 1024
    assert not [path for path in host.logs.iterdir() if path.name.startswith(".")]


def test_a_log_in_a_folder_that_comes_later_is_watched_too(host: Host) -> None:
    """Also one below a pattern."""
    host.configure(paths=f'["{host.logs}/*/*.log"]', size='"10KiB"')
    with host.watching():
        (host.logs / "shop").mkdir()
        (host.logs / "shop/app.log").write_text("x" * 20_000)
        until(lambda: list((host.logs / "shop").glob("app.log-*")))


JUST_BOOTED = """
import time
from agent.logs.rules import facts
facts.booted = lambda started=time.time(): started
"""


def test_the_clock_the_age_and_what_was_missed(host: Host) -> None:
    """What was due while nobody watched is made up for at the start; then the timetable goes on. What has become too
    old is removed, and other rules are left alone."""
    for name in ("app.log", "left.log", "gone.log"):
        (host.logs / name).write_text("line\n")
    state = host.state / "logs"
    state.mkdir(parents=True)
    entries = [f'"{host.logs}/{name}.log" 2024-1-1-0:0:0\n' for name in ("app", "left")]
    (state / "status").write_text("logrotate state -- version 2\n" + "".join(entries))
    old = host.logs / "gone.log-20240101-000000"
    old.write_text("line\n")
    os.utime(old, (time.time() - 3 * 86400,) * 2)
    others = [
        f'[[logs]]\nname = "left"\npaths = ["{host.logs}/left.log"]\ndaily = "00:00"\ncatch_up = false',
        f'[[logs]]\nname = "gone"\npaths = ["{host.logs}/gone.log"]\nsize = "1MiB"\nmax_age = "1d"',
    ]
    host.configure(*others, paths=f'["{host.logs}/app.log"]', daily='"00:00"', compression='"none"')
    with host.watching(patch=JUST_BOOTED):
        until(lambda: host.old("app.log") and not old.exists())
        assert host.told("left").rotations == host.told("gone").rotations == 0
        (host.logs / "app.log").write_text("line\n")
        host.configure(*others, paths=f'["{host.logs}/app.log"]', every='"1s"', compression='"none"')
        until(lambda: len(host.old("app.log")) == 2)
    assert host.told("gone").growth is None


def test_a_changed_configuration_is_taken_on_when_it_is_valid(host: Host) -> None:
    """Another keeps the one before in force."""
    host.configure(size='"1MiB"')
    (host.logs / "app.log").write_text("x" * 20_000)
    with host.watching() as watcher:
        host.configure(size='"a lot"')
        until(lambda: "the configuration is not taken on, what was in force stays" in host.said)
        assert host.told().logs == 1
        watcher.send_signal(signal.SIGHUP)
        until(lambda: host.said.count("the configuration is not taken on") == 2)  # whoever asks is answered
        host.configure(size='"10KiB"')
        until(host.old)
        host.configure(size='"1MiB"', name='"renamed"')
        watcher.send_signal(signal.SIGHUP)
        until(lambda: host.told("renamed").logs == 1)


def test_it_ends_at_once_whatever_a_rule_runs(host: Host) -> None:
    """A program that hangs keeps nobody from watching, and dies with the watcher."""
    pid = host.folder / "pid"
    host.configure(size='"10KiB"', then=f'{{ command = ["/bin/sh", "-c", "echo $$ > {pid}; exec sleep 600"] }}')
    (host.logs / "app.log").write_text("x" * 20_000)
    with host.watching() as watcher:
        until(lambda: pid.exists() and pid.read_text().strip())
        watcher.send_signal(signal.SIGTERM)
        assert watcher.wait(60) == 0
    process = int(pid.read_text())
    until(lambda: not Path(f"/proc/{process}/cmdline").exists() or not Path(f"/proc/{process}/cmdline").read_text())


def test_an_old_log_that_is_written_to_for_long_is_told(host: Host) -> None:
    """Its writer has not been told of the rotation; it is compressed as soon as that ends."""
    host.configure(size='"10KiB"')
    log = host.logs / "app.log"
    with log.open("w") as stream:
        stream.write("x" * 20_000)
        stream.flush()
        with host.watching(
            patch="from agent.logs.watch import server, telling\ntelling.TOLD_WITHIN = 0.5\nserver.QUIET = 0.2"
        ):
            until(host.old)

            def is_told() -> bool:
                stream.write("late\n")
                stream.flush()
                return host.told().trouble == f"{host.old()[0]} was rotated and is written to all the same"

            until(is_told)
            old = host.old()[0]
            os.utime(old, (0, 0))
            until(lambda: not old.exists() and not host.told().trouble)


def test_nobody_else_watches_meanwhile(host: Host) -> None:
    """Two would compress the same logs."""
    host.configure(size='"1MiB"')
    with host.watching():
        words = ["logs", "watch", "--config", str(host.file), "--state-dir", str(host.state)]
        done = subprocess.run([HOSTWARD, *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert "another process watches logs already" in done.stderr


def test_a_state_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it every log would be rotated by nobody, in silence."""
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    places = Places(folder=tmp_path, config=None, agent=tmp_path)
    with pytest.raises(HostwardError, match="cannot be used: Permission denied"):
        Watcher(tuple, tmp_path / "agent.toml", places, Notifier())


def test_a_budget_counts_the_journal_and_leaves_something(host: Host) -> None:
    """A flooded journal takes half of the budget at most; how much it is in truth is told."""
    host.configure(size='"1MiB"', budget='"40KiB"', units='["app.service"]')
    (host.logs / "app.log").touch()
    for day in range(1, 6):
        old = host.logs / f"app.log-2026010{day}-000000.zst"
        old.write_bytes(b"x" * 9000)
        os.utime(old, (time.time() - 86400 * (9 - day),) * 2)
    patch = (
        "from agent.logs.watch import server, work\nserver.EVERY = 0.5\nserver.WHOLE = 1.0\n"
        "work.take_journal = lambda places: work.Told({'app.service': 10**6, 'other.service': 10**9})"
    )
    with host.watching(patch=patch):
        until(lambda: host.told().kept == 2)
        assert host.told().journal == {"app.service": 10**6}
        assert host.told().used == 10**6 + 18_000
    assert [path.name for path in host.old()] == [f"app.log-2026010{day}-000000.zst" for day in (4, 5)]


def test_what_goes_into_an_archive_is_compressed_before_and_goes_soon(host: Host) -> None:
    """Once, also where compression gains nothing, and not an hour later."""
    job = f'[backups.old]\nrepository = "{host.folder}/none"\npassword_file = "/dev/null"\npaths = ["/etc"]\n'
    host.configure(job, size='"10KiB"', count="0", archive='"old"')
    saved = host.folder / "saved"
    patch = (
        "from agent.logs.rules import archive\nfrom agent.logs.watch import packing, server\n"
        "server.EVERY, server.MOMENT = 0.5, 3600.0\nserver.QUIET = packing.QUIET = 0.2\n"
        "def save(self, paths):\n"
        f"    print(*paths, sep='\\n', file=open('{saved}', 'a'))\n"
        "    return {path: archive.proof_of(path) for path in paths}, []\n"
        "archive.Archive.save = save"
    )
    with host.watching(patch=patch):
        (host.logs / "app.log").write_bytes(os.urandom(20_000))
        until(saved.exists)
        until(lambda: not host.old())
    (path,) = saved.read_text().splitlines()
    assert path.endswith(".zst")


def test_what_cannot_be_rotated_is_told_until_it_can(host: Host) -> None:
    """With why; and counts go on after a restart."""
    host.configure(size='"10KiB"')
    log = host.logs / "app.log"
    (host.logs / "elsewhere").write_text("x" * 20_000)
    log.hardlink_to(host.logs / "elsewhere")
    with host.watching():
        until(lambda: "it has 2 names (hard links)" in host.told().trouble)
        assert host.told().failing_since is not None
    failures = host.told().failures
    log.unlink()
    log.write_text("x" * 20_000)
    with host.watching():
        until(lambda: host.told().rotations == 1 and not host.told().trouble)
        assert host.told().failures == failures
        assert host.told().failing_since is None


@pytest.mark.parametrize(
    ("patch", "word"),
    [
        (
            "from agent.logs.watch import observer\ndef none(): raise OSError(24, 'Too many open files')\n"
            "observer.Observer.__init__.__kwdefaults__['queue'] = none",
            "looked at at intervals",
        ),
        (
            "from agent.logs.watch import observer, server\nserver.PROBE = 0.5\n"
            "observer._mountinfo = lambda: b'1 1 0:1 / / rw - ext4 / rw\\n2 1 0:2 / {logs} rw - nfs4 host:/x rw\\n'",
            "",
        ),
    ],
    ids=["no events to be had", "a network file system"],
)
def test_where_nobody_tells_of_changes_logs_are_looked_at(host: Host, patch: str, word: str) -> None:
    """At intervals; where a look may hang, a child looks."""
    host.configure(size='"10KiB"')
    (host.logs / "app.log").write_text("x")
    with host.watching(patch=patch.replace("{logs}", str(host.logs))):
        (host.logs / "app.log").write_text("x" * 20_000)
        until(host.old)
    assert word in host.said


def test_a_server_that_hangs_holds_up_nothing_else(host: Host) -> None:
    """Whoever asks it for anything waits for ever; logs of other rules are rotated and compressed all the same."""
    far = host.folder / "far"
    far.mkdir()
    (far / "app.log").write_text("x" * 20_000)
    patch = (
        "import os, time\nfrom agent.logs.watch import observer, server\nserver.FORESEE = server.PROBE = 0.2\n"
        f"observer._mountinfo = lambda: b'1 1 0:1 / / rw - ext4 / rw\\n2 1 0:2 / {far} rw - nfs4 host:/x rw\\n'\n"
        "def hanging(ask):\n"
        f"    return lambda path, *a, **k: time.sleep(999) if str(path).startswith('{far}') else ask(path, *a, **k)\n"
        "for name in ('lstat', 'stat', 'statvfs', 'listdir'):\n"
        "    setattr(os, name, hanging(getattr(os, name)))\n"
    )
    other = f'[[logs]]\nname = "far"\npaths = ["{far}/app.log"]\nlow_disk = "900TiB"\n'
    host.configure(other, size='"10KiB"')
    (host.logs / "app.log").write_text("x")
    with host.watching(patch=patch):
        (host.logs / "app.log").write_text("x" * 20_000)
        until(lambda: [path for path in host.old() if path.suffix == ".zst"])
    assert [path.name for path in far.iterdir()] == ["app.log"]


def test_a_log_that_is_written_to_all_the_time_is_looked_at_now_and_then(host: Host) -> None:
    """Not at each write."""
    host.configure(size='"100MiB"')
    log = host.logs / "app.log"
    log.touch()
    patch = (
        "import atexit, time\nfrom agent.logs.watch.logs import Log\nlooks, began = [], time.monotonic()\n"
        "look = Log.look\nLog.look = lambda self, ticks: (looks.append(ticks), look(self, ticks))[1]\n"
        "atexit.register(lambda: print(f'{len(looks)} {time.monotonic() - began}', file=sys.stderr))"
    )
    with host.watching(patch=patch), writing(log, 10_000) as writer:
        assert writer.wait(60) == 0
    looks, seconds = host.said.split()[-2:]
    assert 2 <= int(looks) <= float(seconds) / REST + 10


def test_a_disk_that_would_be_full_before_the_turn_has_the_log_rotated_now(host: Host) -> None:
    """And compressed at once; what is kept goes as far as the rule allows."""
    require_root()
    with small_disk(host.folder / "disk", size="24m") as disk:
        disk.chmod(0o755)
        log = disk / "app.log"
        log.touch()
        host.configure(paths=f'["{log}"]', daily='"00:00"', delay="true", keep_free='"4MiB"')
        with host.watching():
            with log.open("ab", buffering=0) as stream:
                for _ in range(400):  # 40 MiB, were there room
                    if host.told().low_disk:
                        break
                    stream.write(b"x" * 99_999 + b"\n")
                    time.sleep(0.2)
            until(lambda: host.told().low_disk)
            until(lambda: [path for path in disk.iterdir() if path.suffix == ".zst"])
            danger = host.told().danger
            assert danger is not None
            assert danger.path == str(log)
    assert "was rotated before its time" in host.said
