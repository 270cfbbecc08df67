"""What is known of a host comes here in one file, without its secrets."""

from __future__ import annotations

import json
import os
import random
import tarfile
from pathlib import Path

from deploys.onhost.collect import collect
from tests.deploys.conftest import Run
from tests.deploys.support import changes
from tests.fleet.host import Host

PLANTED = {
    "a file of secrets": "kept-in-a-file-4711",
    "a credential": "kept-for-a-unit-4711",
    "an assignment": "assigned-4711",
    "a URL": "in-a-url-4711",
    "a header": "in-a-header-4711",
    "an argument": "in-an-argument-4711",
    "JSON": "in-json-4711",
}


def contents(file: Path) -> dict[str, str]:
    """The texts in a bundle, by name."""
    with tarfile.open(file) as bundle:
        return {entry.name: bundle.extractfile(entry).read().decode() for entry in bundle}  # type: ignore[union-attr]


def test_a_bundle_has_what_is_known_and_no_secrets(served: Host, on_served: Run, tmp_path: Path) -> None:
    """Wherever they were planted. Only its owner reads the file, nothing of it stays on the host, and asking again
    brings another."""
    host, secrets = served, list(PLANTED.values())
    host.write("/etc/hostward/debug.password", f"{secrets[0]}\n", 0o600)
    host.write("/etc/hostward/credentials/debug", f"{secrets[1]}\n", 0o600)
    host.write(
        "/var/log/shop/debug.log",
        f"opened with {secrets[0]}\nDB_PASSWORD={secrets[2]} at postgres://shop:{secrets[3]}@db/shop\n"
        f'Authorization: Bearer {secrets[4]}\n{{"api_key": "{secrets[6]}", "user": "bob"}}\nlast line\n',
    )
    host.run(f"logger -t shop 'refused {secrets[1]}, token: {secrets[2]}, all else is well'")
    host.run(f"systemd-run --quiet --unit=planted sh -c 'sleep 600; true' --password {secrets[5]}")
    host.run("systemctl restart hostward-agent")
    folder = tmp_path / "bundles"
    try:
        done = [on_served("debug", {"folder": str(folder), "since": "1 hour ago"}) for _ in range(2)]
    finally:
        host.run(
            "systemctl stop planted hostward-agent; rm /etc/hostward/debug.password /etc/hostward/credentials/debug"
        )
    assert [changes(one) for one in done] == [1, 1]
    files = sorted(folder.iterdir())
    assert 1 <= len(files) <= 2, "two of one second have one name"
    assert [oct(file.stat().st_mode & 0o777) for file in files] == ["0o600"] * len(files)
    found = contents(files[0])
    everything = "\n".join(found.values())
    assert {what for what, secret in PLANTED.items() if secret in everything} == set()
    assert json.loads(found["status.json"])["agent"]["running"] is True
    assert found["metrics.txt"].startswith("# HELP ")
    assert "checks.cpu.every" in found["configuration.txt"]
    assert "all else is well" in found["journal-newest-first.txt"]
    assert "--password [redacted]" in found["processes.txt"]
    assert "overlay" in found["disks.txt"]
    assert '"user": "bob"' in found["logs/var/log/shop/debug.log"]
    assert "last line" in found["logs/var/log/shop/debug.log"]
    assert host.run("find /var/tmp /run -maxdepth 1 -name 'hostward-debug.*'").stdout == ""

    refused = on_served("debug", {"folder": str(folder), "since": "never"}, check=False)
    assert refused.returncode == 1
    assert "'never' is no time: " in refused.stdout + refused.stderr


def test_a_bundle_stays_within_its_size(tmp_path: Path) -> None:
    """However badly logs can be compressed: the newest lines of the newest logs are there, and what is left out is
    told. Links, pipes and what was not written to since are no logs."""
    root, folder = tmp_path / "root", tmp_path / "folder"
    (root / "var/log").mkdir(parents=True)
    (folder / "said").mkdir(parents=True)
    (folder / "said/status.json").write_text("{}")
    noise = random.Random(4711)
    for number in range(4):
        lines = [noise.randbytes(40).hex() for _ in range(6_000)]
        log = root / f"var/log/{number}.log"
        log.write_text("\n".join([*lines, f"the end of {number}\n"]))
        os.utime(log, (2000 + number, 2000 + number))
    (root / "var/log/old.log").write_text("old\n")
    os.utime(root / "var/log/old.log", (1, 1))
    (root / "var/log/link.log").symlink_to("/etc/passwd")
    os.mkfifo(root / "var/log/pipe.log")
    (root / "home").mkdir()
    (root / "home/kept.log").write_text("not theirs to show\n")
    (root / "var/log/shop").mkdir()
    (root / "var/log/shop/way").symlink_to(root / "home")
    if os.geteuid() == 0:
        os.lchown(root / "var/log/shop/way", 65534, 65534)
    size = 2**20
    logs = ["/var/log/*.log", "/var/log/shop/*/*.log"]
    plan = {"size": size, "since": 1000, "logs": logs, "said": ["status.json"]}
    said = collect(plan, folder, root)
    assert size // 2 < said["size"] == (folder / "bundle.tar.gz").stat().st_size <= size
    found = contents(folder / "bundle.tar.gz")
    assert next(name for name in said["files"] if name.startswith("logs/")) == "logs/var/log/3.log"
    assert found["logs/var/log/3.log"].endswith("the end of 3\n")
    assert set(found) <= {"status.json", *(f"logs/var/log/{number}.log" for number in range(4))}
    assert said["left_out"]
