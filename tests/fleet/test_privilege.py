"""Least privilege under a real systemd: what both units may do, and what they may not."""

from __future__ import annotations

import base64
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.fleet import layers
from tests.fleet.command import command
from tests.fleet.fleet import Fleet
from tests.fleet.host import Host

PYTHON = "/opt/hostward/current/bin/python"
ASK = """
import json, socket, sys
import msgspec
from agent.privileged.protocol import decode_reply
link = socket.socket(socket.AF_UNIX)
link.connect("/run/hostward-jobs.sock")
link.sendall(sys.argv[1].encode() + b"\\n")
answer = b""
while chunk := link.recv(65536):
    answer += chunk
print(msgspec.json.encode(decode_reply(answer)).decode())
"""
JOBS = """
[jobs.it]
command = ["sh", "-c", "echo ran as $(id); grep -E '^(Cap|NoNew)' /proc/self/status; touch /srv/out/x /etc/x; true"]
every = "1d"
privileged = { writable = ["/srv/out"] }

[jobs.plain]
command = ["sh", "-c", "echo ran as $(id)"]
every = "1d"
"""


def until(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.3)


def configure(host: Host, text: str) -> None:
    host.write("/etc/hostward/agent.toml", text)


def ask(host: Host, name: str, kind: str = "job") -> dict[str, Any]:
    """What root's half replies to root."""
    host.write("/srv/ask.py", ASK)
    reply: dict[str, Any] = json.loads(host.run([PYTHON, "/srv/ask.py", f"{kind} {name}"], timeout=120).stdout)
    return reply


def checks(host: Host) -> dict[str, dict[str, Any]]:
    done = host.run("hostward status --json", check=False)
    return {check["name"]: check for check in json.loads(done.stdout)["checks"]} if done.stdout else {}


def sleepers(host: Host, number: int) -> str:
    return host.run(f"pgrep -f 'sleep {number}$'", check=False).stdout


def test_what_the_owner_of_the_agents_process_can_do(host: Host) -> None:
    """docs/security.md says what: it reads what everybody may, writes to folders of its own, runs root's jobs as they
    are, and talks to the network. Nothing else that it tries works."""
    configure(host, JOBS)
    host.write("/etc/hostward/secret", "x", 0o600)
    host.write("/srv/attacker.py", (Path(__file__).parent / "attacker.py").read_text())
    host.run("mkdir /srv/out; systemctl enable --now hostward-jobs.socket")
    victim = host.run("systemctl show -P MainPID ssh").stdout.strip()
    result = "/var/lib/hostward/result"
    command = f"/usr/bin/python3 /srv/attacker.py {result} {victim} {host.address}"
    dropin = (
        f"[Service]\nType=oneshot\nWatchdogSec=0\nRestart=no\nTimeoutStartSec=120\nExecStart=\nExecStart={command}\n"
    )
    host.write("/etc/systemd/system/hostward-agent.service.d/attacker.conf", dropin)
    host.run("systemctl daemon-reload && systemctl start hostward-agent", timeout=150)
    found = json.loads(host.read(result))
    assert sorted(found["worked"]) == [
        "connect over the network",
        "read /etc/hostward/agent.toml",
        "read /etc/passwd",
        "run a defined job",
        "write /dev/shm/x",
        "write /run/hostward/x",
        "write /tmp/x",
        "write /var/lib/hostward/x",
    ], found
    assert len(found["failed"]) > 70
    assert host.run("test -e /tmp/x", check=False).returncode == 1, "that was a /tmp of its own"
    assert host.run("stat -c %a /run/hostward-jobs.sock").stdout == "660\n"
    assert host.run("systemctl is-active cron").stdout == "active\n"


def test_root_s_half_runs_what_is_defined_in_a_closed_sandbox(host: Host) -> None:
    """With no capability, nothing to write to but what the table names, one at a time, and nothing left of it."""
    configure(
        host,
        JOBS
        + """
[jobs.daemon]
command = ["sh", "-c", "setsid sh -c 'trap : TERM; while :; do sleep 9871; done' >/dev/null 2>&1 & sleep 0.5; exit 3"]
every = "1d"
privileged = {}

[jobs.long]
command = ["sh", "-c", "setsid sleep 9872 & sleep 9872"]
every = "1d"
privileged = {}

[jobs.hang]
command = ["sh", "-c", "trap : TERM; while :; do sleep 9873; done"]
every = "1d"
timeout = "1s"
privileged = {}

[jobs.user]
command = ["sh", "-c", "id -un; cat /proc/net/dev | wc -l"]
every = "1d"
privileged = { user = "nobody" }

[jobs.typo]
command = ["true"]
every = "1d"
privileged = { user = "nobody-here" }

[jobs.nowhere]
command = ["true"]
every = "1d"
privileged = { writable = ["/srv/nowhere"] }
""",
    )
    host.run("mkdir /srv/out; systemctl enable --now hostward-jobs.socket")
    reply = ask(host, "it")
    output = decoded(reply["output"])
    assert reply["outcome"] == "done"
    assert "uid=0(root)" in output
    assert set(re.findall(r"Cap\w+:\t(\w+)", output)) == {"0" * 16}
    assert "NoNewPrivs:\t1" in output
    assert "cannot touch '/etc/x': Read-only" in decoded(reply["error"])
    assert host.run("ls /srv/out").stdout == "x\n"

    assert ask(host, "daemon")["message"] == "exit code 3"
    assert sleepers(host, 9871) == ""
    reply = ask(host, "hang")
    assert (reply["outcome"], reply["message"]) == ("timed_out", "stopped at its time limit of 1s")
    assert sleepers(host, 9873) == ""
    assert decoded(ask(host, "user")["output"]) == "nobody\n3\n", "the head of the table, and lo"
    assert ask(host, "typo")["message"] == "its sandbox cannot be set up: there is no such user"
    assert "does not exist" in ask(host, "nowhere")["message"]
    assert "defines no privileged job" in ask(host, "plain")["message"]

    # Whoever asked goes away; root's half itself is killed: nothing goes on.
    for ending in ("pkill -KILL -f 'ask.py job lon[g]'", "systemctl kill --signal=KILL 'hostward-jobs@*'"):
        host.run(f"setsid {PYTHON} /srv/ask.py 'job long' >/dev/null 2>&1 &")
        until(lambda: len(sleepers(host, 9872).split()) >= 2, "the long job")
        assert "is running already" in ask(host, "long")["message"]
        host.run(ending)
        until(lambda: sleepers(host, 9872) == "", f"the end after {ending}")
        until(lambda: "hostward-job-" not in host.run("systemctl list-units --all --plain").stdout, "the unit's end")

    # A configuration that others could have written.
    host.run("chmod 666 /etc/hostward/agent.toml")
    assert "everybody may write to it" in ask(host, "it")["message"]
    host.run("chmod 644 /etc/hostward/agent.toml; chown hostward /etc/hostward/agent.d")
    assert "/etc/hostward/agent.d: belongs to the user hostward" in ask(host, "it")["message"]
    # Another user.
    done = host.run("runuser -u nobody -- test -w /run/hostward-jobs.sock", check=False)
    assert done.returncode == 1


def decoded(text: str) -> str:
    """msgspec writes bytes as base64."""
    return base64.b64decode(text).decode()


def test_the_agent_works_in_its_unit(host: Host) -> None:
    """Checks and jobs, privileged ones among them, credentials, and programs that become daemons; the scores hold."""
    configure(
        host,
        """
[jobs.clean]
command = ["sh", "-c", "touch /srv/out/cleaned"]
every = "3s"
privileged = { writable = ["/srv/out"] }

[jobs.secret]
command = ["sh", "-c", "cat $CREDENTIALS_DIRECTORY/pg; cat /etc/hostward/pg.password"]
every = "3s"

[checks.cpu]
every = "2s"
privileged = {}

[checks.shadow]
type = "command"
command = ["sh", "-c", "wc -l </etc/shadow"]
every = "5s"
privileged = { capabilities = ["CAP_DAC_READ_SEARCH"] }

[checks.daemon]
type = "command"
command = ["sh", "-c", "setsid sh -c 'exec sleep 9874' >/dev/null 2>&1 & echo started"]
every = "2s"
""",
    )
    host.write("/etc/hostward/pg.password", "hunter2\n", 0o600)
    host.write(
        "/etc/systemd/system/hostward-agent.service.d/credentials.conf",
        "[Service]\nLoadCredential=pg:/etc/hostward/pg.password\n",
    )
    host.run("mkdir /srv/out; systemctl daemon-reload; systemctl enable --now hostward-jobs.socket hostward-agent")
    until(lambda: host.run("test -e /srv/out/cleaned", check=False).returncode == 0, "the job's work")
    until(lambda: checks(host).get("job:clean", {}).get("message", "").startswith("done in"), "the job's outcome")
    until(lambda: checks(host).get("cpu", {}).get("state") in ("ok", "warning", "critical"), "the check's rates")
    until(lambda: checks(host).get("shadow", {}).get("state") == "ok", "the check's reading")
    until(lambda: "exit code 1" in checks(host).get("job:secret", {}).get("message", ""), "the other job's outcome")
    assert "Permission denied" in checks(host)["job:secret"]["message"], "the file itself stays root's"
    until(lambda: checks(host).get("daemon", {}).get("state") == "ok", "the check that leaves something behind")
    until(lambda: sleepers(host, 9874) == "", "the end of what it left")
    unknown = {name: check["message"] for name, check in checks(host).items() if check["state"] == "unknown"}
    assert unknown == {}

    for unit, most in (("hostward-agent.service", 2.5), ("hostward-jobs@.service", 5.0)):
        said = host.run(f"systemd-analyze security --no-pager {unit}", check=False).stdout
        assert float(re.findall(r"exposure level for \S+: ([0-9.]+)", said)[0]) <= most
    limits = host.run("systemctl show -p MemoryMax -p TasksMax -p CPUQuotaPerSecUSec hostward-agent").stdout
    assert set(limits.split()) == {"MemoryMax=536870912", "TasksMax=256", "CPUQuotaPerSecUSec=1s"}


def test_a_secret_of_the_credentials_is_read_by_a_check(host: Host) -> None:
    """`credential:NAME` in the real unit, and the sentence when the unit lacks it."""
    code = "from agent.credentials import read_secret; print(read_secret('credential:pg'))"
    host.write("/etc/hostward/pg.password", "hunter2\n", 0o600)
    base = "systemd-run --quiet --pipe --wait -p User=hostward"
    done = host.run(f'{base} -p LoadCredential=pg:/etc/hostward/pg.password {PYTHON} -c "{code}"')
    assert done.stdout == "hunter2\n"
    done = host.run(f'{base} {PYTHON} -c "{code}"', check=False)
    assert "LoadCredential=pg:FILE" in done.stderr


BACKUPS = """
[backups.it]
repository = "/srv/backup"
init = true
password_file = "credential:backup"
paths = ["/srv/files", "/usr/lib/modules"]
daily = "02:00"
verify = true
keep = { last = 2 }
before = [{ command = ["sh", "-c", "touch /srv/files/x /var/lib/hostward/x"], on_failure = "ignore" }]
privileged = { capabilities = ["CAP_DAC_READ_SEARCH"], writable = ["/srv/backup"] }

[backups.mail]
repository = "/srv/backup"
password_file = "credential:backup"
paths = ["/srv/mail"]
snapshot = "btrfs"
every = "20s"
privileged = {}

[backups.dumps]
repository = "/srv/backup"
password_file = "credential:backup"
every = "20s"
privileged = { capabilities = ["CAP_SETUID", "CAP_SETGID"], writable = ["/srv/backup"] }
[backups.dumps.postgresql]
run_as = "postgres"

[backups.base]
repository = "/srv/backup"
password_file = "credential:backup"
every = "20s"
[backups.base.privileged]
capabilities = ["CAP_DAC_OVERRIDE", "CAP_CHOWN", "CAP_SETUID", "CAP_SETGID"]
writable = ["/srv/backup", "/var/lib/postgresql/hostward-base"]
[backups.base.postgresql_base]
scratch = "/var/lib/postgresql/hostward-base"
checkpoint = "fast"
run_as = "postgres"

[backups.wal]
repository = "/srv/backup"
password_file = "credential:backup"
every = "20s"
privileged = { capabilities = ["CAP_DAC_OVERRIDE"], writable = ["/srv/backup", "/var/spool/hostward/shop"] }
[backups.wal.postgresql_wal]
spool = "/var/spool/hostward/shop"
"""
ARCHIVING = """
wal_level = replica
archive_mode = on
archive_command = 'hostward backup wal archive /var/spool/hostward/shop %p %f'
"""


@pytest.fixture
def server(fleet: Fleet, repository: Path) -> Iterator[Host]:
    """A host with a PostgreSQL that archives, and mail on a btrfs."""
    with ExitStack() as stack:
        [host] = stack.enter_context(fleet.hosts(1, layers.layers(repository, layers.SERVERS)))
        host.run(
            "install -d -o postgres -g postgres -m 700 /var/spool/hostward/shop /var/lib/postgresql/hostward-base"
        )
        host.write("/etc/postgresql/15/main/conf.d/archiving.conf", ARCHIVING)
        host.run("systemctl restart postgresql", timeout=120)
        image = host.folder / "btrfs"
        with open(image, "wb") as file:
            os.truncate(file.fileno(), 128 * 2**20)
        command("mkfs.btrfs", "-q", str(image))
        device = command("losetup", "--find", "--show", str(image)).strip()
        stack.callback(command, "losetup", "--detach", device)  # which happens once it is mounted no more
        number = os.minor(Path(device).stat().st_rdev)
        host.run(f"mknod {device} b 7 {number} && mkdir /srv/mail && mount {device} /srv/mail")
        yield host


def statuses(host: Host) -> dict[str, Any]:
    """The last run of each job."""
    jobs = json.loads(host.run("hostward backup status --json").stdout)["jobs"]
    return {job["name"]: job["last_run"] for job in jobs if job["last_run"] is not None}


def test_backups_have_what_they_need_and_no_more(server: Host) -> None:
    """With a password that only its own unit is given, and a cache and a place for what it must know of its own. One
    reads everything and writes to its repository alone. By the timetable others read a snapshot of a file system,
    dump PostgreSQL as its own user, and archive it."""
    host = server
    configure(host, BACKUPS)
    host.write("/etc/hostward/backup.password", "a secret", 0o600)
    host.write(
        "/etc/systemd/system/hostward-jobs@.service.d/credentials.conf",
        "[Service]\nLoadCredential=backup:/etc/hostward/backup.password\n",
    )
    host.run("mkdir -p /srv/backup /srv/files /usr/lib/modules && touch /usr/lib/modules/module")
    host.run("echo hidden >/srv/files/one && chmod 600 /srv/files/one && echo dear >/srv/mail/letter")
    host.run("chown -R nobody /srv/files && chmod 700 /srv/files")
    host.run("systemctl daemon-reload && systemctl enable --now hostward-jobs.socket")
    for _ in range(2):
        reply = ask(host, "it", "backup")
        run = json.loads(base64.b64decode(reply["output"]))
        assert (reply["outcome"], run["outcome"], run["message"]) == ("done", "done", ""), (reply, run)
        assert (run["files"], run["verified"]) == (2, True)
    assert host.run("ls /srv/backup/snapshots | wc -l").stdout == "2\n"
    assert host.run("ls /srv/files").stdout == "one\n"
    assert host.run("stat -c %a /var/cache/hostward-backup/it").stdout == "700\n"

    host.run("cd / && runuser -u postgres -- psql -qc 'CREATE TABLE shop ()' -c 'SELECT pg_switch_wal()'")
    host.run("systemctl start hostward-agent")
    others = {"mail", "dumps", "base", "wal"}
    runs: dict[str, Any] = {}

    def all_ran() -> bool:
        runs.update(statuses(host))
        return others <= runs.keys()

    until(all_ran, "a run of each", 300)
    assert {name: (run["outcome"], run["message"]) for name, run in runs.items()} == dict.fromkeys(
        others, ("done", "")
    )
    assert runs["mail"]["files"] == 1
    words = "--repo /srv/backup --password-file /etc/hostward/backup.password"
    standing: list[dict[str, Any]] = []

    def is_archived() -> bool:
        standing[:] = json.loads(host.run(f"hostward backup wal status --json {words}", check=False).stdout)
        return bool(standing and standing[0]["last_saved"])

    until(is_archived, "WAL in the repository", 300)
    host.run("systemctl stop hostward-agent")
    assert standing[0]["windows"][-1]["gap"] is None
    listed = host.run(f"hostward backup ls --path /postgresql latest {words}").stdout
    assert "/postgresql/postgres.dump" in listed and "/postgresql/globals.sql" in listed
    assert "a secret" not in host.run("journalctl -b --no-pager", timeout=60).stdout
