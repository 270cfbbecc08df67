"""Backups are configured, run, restored and tried on hosts."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from deploys.operations.backups import RESTORING
from tests.deploys.conftest import Run
from tests.deploys.support import changes
from tests.fleet.host import Host

PASSWORD, OTHER = "tea-and-scones-4711", "cream-and-jam-0815"
ODD = 'shop ${HOME} $HOME "shop" %h'
"""Any name is one."""
ROOTS = {"capabilities": ["CAP_DAC_READ_SEARCH", "CAP_SETUID", "CAP_SETGID"], "writable": ["/srv/backup"]}


def table(tmp_path: Path, **more: Any) -> dict[str, Any]:
    """Host data: files by root's half with a password in a file, databases with its unit's, and the agent's own."""
    secret = tmp_path / "secret"
    secret.write_text(f"{PASSWORD}\n")
    file, credential = "/etc/hostward/daily.password", "credential:daily"
    common = {"repository": "/srv/backup", "init": True, "daily": "02:00"}
    own = {"repository": "/var/lib/hostward/own", "init": True, "password_file": "/etc/hostward/own.password"}
    return {
        "jobs": {
            "files": {**common, "password_file": file, "paths": ["/srv/files"], "privileged": ROOTS},
            "databases": {
                **common,
                "password_file": credential,
                "postgresql": {"run_as": "postgres", "databases": [ODD]},
                "privileged": ROOTS,
            },
            "own": {**own, "daily": "03:00", "paths": ["/etc/hostname"]},
        },
        "drills": {"files": {"backup": "files", "weekly": "sunday 04:00", "privileged": ROOTS}},
        "secrets": {
            file: {"file": str(secret)},
            credential: {"command": ["cat", str(secret)]},
            own["password_file"]: {"command": ["echo", OTHER]},
        },
        **more,
    }


def test_backups_are_configured_run_tried_and_restored(served: Host, on_served: Run, tmp_path: Path) -> None:
    """Configuring twice changes nothing; runs, drills and restores happen each time. A path comes back in a folder, a
    database under a name that no other has."""
    host = served
    host.run("mkdir -p /srv/files /srv/backup && echo tea >/srv/files/list")
    host.run("systemctl start postgresql@15-main", timeout=120)
    shop = shlex.quote(ODD)
    host.run(f"cd / && runuser -u postgres -- createdb {shop}")
    host.run(f"cd / && runuser -u postgres -- createdb {RESTORING}")  # of a restore that was cut down
    host.run(f"cd / && runuser -u postgres -- psql -q {shop} -c 'CREATE TABLE tea AS SELECT 7 AS price'")
    said = [on_served("backup", table(tmp_path))]
    assert changes(said[0]) == 6
    assert host.run("stat -c '%a %U:%G' /etc/hostward/daily.password /etc/hostward/own.password").stdout == (
        "600 root:root\n640 root:hostward\n"
    )
    assert host.read("/etc/hostward/daily.password") == f"{PASSWORD}\n"
    assert host.run("systemctl is-active hostward-jobs.socket").stdout == "active\n"
    assert changes(on_served("backup", table(tmp_path))) == 0

    for _ in range(2):
        said.append(on_served("backup", table(tmp_path, action="run")))
        assert changes(said[-1]) == 1
    assert (said[-1].stderr + said[-1].stdout).count(": done: ") == 3
    assert host.run("stat -c %U /var/lib/hostward/own/config").stdout == "hostward\n"
    said.append(on_served("backup", table(tmp_path, action="drill")))
    assert "files: done: " in said[-1].stdout + said[-1].stderr

    host.run(f"rm /srv/files/list; cd /; runuser -u postgres -- psql -q {shop} -c 'DROP TABLE tea'")
    back = {"job": "files", "path": "/srv/files", "target": "/srv/then"}
    said.append(on_served("backup", table(tmp_path, action="restore", restore=back)))
    assert host.read("/srv/then/srv/files/list") == "tea\n"
    back = {"job": "files", "path": "/srv/flies", "target": "/srv/never"}
    said.append(on_served("backup", table(tmp_path, action="restore", restore=back), check=False))
    assert "/srv/flies could not be restored into /srv/never: " in said[-1].stdout + said[-1].stderr
    assert "(left alone)" in said[-1].stdout + said[-1].stderr
    host.run("test ! -e /srv/never")
    back = {"job": "databases", "database": ODD, "target": "shop_then"}
    said.append(on_served("backup", table(tmp_path, action="restore", restore=back)))
    databases = host.run("cd / && runuser -u postgres -- psql -At -c 'SELECT datname FROM pg_database'").stdout
    assert RESTORING not in databases.split()
    assert host.run("cd / && runuser -u postgres -- psql -At shop_then -c 'TABLE tea'").stdout == "7\n"
    said.append(on_served("backup", table(tmp_path, action="restore", restore=back), check=False))
    assert "there is a database shop_then here already (left alone)" in said[-1].stdout + said[-1].stderr

    printed = "".join(done.stdout + done.stderr for done in said)
    assert PASSWORD not in printed and OTHER not in printed
    assert host.run(f"journalctl --no-pager | grep -c -e {PASSWORD} -e {OTHER}", check=False).stdout == "0\n"


def test_what_cannot_be_is_refused_before_anything_changes(served: Host, on_served: Run, tmp_path: Path) -> None:
    """A mistake in a table names the file that it would be in; a password that would lock out is not replaced; runs
    of jobs that there are not say so."""
    host = served
    before = host.run("find /etc/hostward -type f -exec sha256sum {} +").stdout
    wrong = {"jobs": {"shop": {"repository": "/srv/backup", "pahts": ["/srv"]}}}
    done = on_served("backup", wrong, check=False)
    assert done.returncode == 1
    assert "the configuration would not be valid: " in done.stdout + done.stderr
    assert "/etc/hostward/agent.d/backup.toml" in done.stdout + done.stderr
    assert host.run("find /etc/hostward -type f -exec sha256sum {} +").stdout == before
    assert host.run("ls -d /run/hostward-trial.*", check=False).stdout == ""

    host.write("/etc/hostward/kept.password", "another\n", 0o600)
    job = {"repository": "/srv/backup", "paths": ["/srv"], "password_file": "/etc/hostward/kept.password"}
    locking = {"jobs": {"shop": job}, "secrets": {"/etc/hostward/kept.password": {"command": ["echo", PASSWORD]}}}
    done = on_served("backup", locking, check=False)
    assert done.returncode == 1
    assert "the secret in /etc/hostward/kept.password is another" in done.stdout + done.stderr
    assert host.read("/etc/hostward/kept.password") == "another\n"
    host.run("rm /etc/hostward/kept.password")

    done = on_served("backup", {"action": "run", "only": ["nothing"]}, check=False)
    assert "there is no backup job nothing in the configuration (left alone)" in done.stdout + done.stderr
    unnamed = {"secrets": {"/etc/hostward/x.password": {"command": ["echo", PASSWORD]}}}
    done = on_served("backup", unnamed, check=False)
    assert "backup: no job has a file of secrets /etc/hostward/x.password" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
