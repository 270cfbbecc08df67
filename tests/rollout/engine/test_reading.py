"""What is read before anything is done: inventories, orders, and errors as sentences."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from paramiko.ssh_exception import NoValidConnectionsError

from deploys.kit.secret import Secret
from rollout.engine import sentences
from rollout.engine.masks import Masks
from rollout.protocol import Described, Refused
from tests.rollout.engine.support import carried_out, of

INVENTORY = """\
hosts = [("@fake/a", {"zone": "north"}), "@fake/b"]
web = ["@fake/b"]
"""


def test_a_wave_describes_its_inventory(tmp_path: Path) -> None:
    """With group data beside it, what the command line gives, and names at home."""
    (tmp_path / "inventory.py").write_text(INVENTORY)
    (tmp_path / "group_data").mkdir()
    (tmp_path / "group_data/web.py").write_text("hostward_name = 'b.example.org'\nzone = 'south'\n")
    said = carried_out(tmp_path, task="describe", data={"zone": "east"}, hosts=["@fake/b"])
    groups = ["hosts", "web", "inventory", "@fake"]
    assert said == [Described(host="@fake/b", groups=groups, zone="east", known_as="b.example.org")]
    assert of(Described, carried_out(tmp_path, task="describe"))[0].zone == "north"


def test_an_order_that_cannot_be_carried_out_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    """Here for a deploy that is no Python."""
    (tmp_path / "inventory.py").write_text(INVENTORY)
    (tmp_path / "deploy.py").write_text("one = 1\nif:\n")
    said = carried_out(tmp_path)
    assert said == [Refused(message="the deploy cannot be read: deploy.py line 2: invalid syntax")]


READ = """\
import json, sys
from rollout.engine.inventory import OrderError, chosen, described, load
from rollout.engine.state import WaveState
from rollout.protocol import Order
from pyinfra.context import ctx_state

ctx_state.set(WaveState())
for path, hosts in json.load(sys.stdin):
    order = Order(task="describe", inventory=path, folder=".", hosts=hosts)
    try:
        print([described(host) for host in chosen(load(order), order.hosts)])
    except OrderError as error:
        print(error)
"""
BAD = [
    ("a = 1\nb = [c]\n", [], "the inventory FILE cannot be read: FILE line 2: NameError: name 'c' is not defined"),
    ("a = [\n", [], "the inventory FILE cannot be read: FILE line 1: '[' was never closed"),
    ("a = []\n", [], "the inventory FILE has no hosts"),
    ("a = ['@nowhere/x']\n", [], "the inventory FILE cannot be read: Invalid connector: nowhere"),
    ("a = ['x']\n", ["x", "y"], "the inventory has no host y"),
    ("a = [('x', {'zone': 3})]\n", [], "x: zone is 3; expected text"),
    (None, [], "the inventory FILE is not there"),
]


def test_bad_inventories_are_told_with_file_and_line(tmp_path: Path) -> None:
    """Whatever is wrong with them. In a process of its own, for pyinfra's command line has gevent patch it."""
    asked = []
    for number, (text, hosts, _) in enumerate(BAD):
        path = tmp_path / f"inventory{number}.py"
        if text is not None:
            path.write_text(text)
        asked.append((str(path), hosts))
    words = [sys.executable, "-W", "ignore", "-c", READ]
    done = subprocess.run(words, input=json.dumps(asked), capture_output=True, text=True, check=True, timeout=60)
    told = [line.replace(path, "FILE") for line, (path, _) in zip(done.stdout.splitlines(), asked, strict=True)]
    assert told == [expected for _, _, expected in BAD]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Authentication error (username=x, key=k) (Authentication failed.)", "it takes neither the key nor"),
        ("SSH host key error (Host key for 192.0.2.1 does not match.)", "its host key is not the one that is known"),
        ("SSH error (StrictPolicy: No host key for jump found in known_hosts)", "the host key of jump is not known"),
        ("Could not connect (timed out)", "it did not answer in time"),
        ("Could not resolve hostname ([Errno -2] Name or service not known)", "its name cannot be resolved"),
        ("Could not connect ([Errno None] Unable to connect to port 1 on 192.0.2.1)", "there is no way to it"),
        ("No such private key file: k", "No such private key file: k"),
    ],
)
def test_what_ssh_says_is_told_plainly(said: str, told: str) -> None:
    """pyinfra's texts as they are, and a person's words."""
    assert sentences.of_connecting("web1", OSError(said)).startswith(f"web1 cannot be reached: {told}")


@pytest.mark.parametrize(
    ("deploy", "data", "told"),
    [
        ("agent", {"agent.verson": "9"}, '@fake/a: agent.verson: there is no such key here; did you mean "version"?'),
        ("agent", {"agnt.version": "9"}, "--data agnt.version: there is no table agnt; did you mean agent?"),
        ("backup", {"backup.action": "runn"}, '@fake/a: backup.action: expected "configure", "run", "restore"'),
        ("cleanup", {"cleanup.journal_age": "soon"}, "@fake/a: cleanup.journal_age: expected a duration such as"),
        ("debug", {"debug.size": "1KiB"}, '@fake/a: debug.size: expected 1MiB or more, found "1KiB"'),
    ],
)
def test_what_a_deploy_of_ours_could_not_take_is_refused_with_the_inventory(
    tmp_path: Path, repository: Path, deploy: str, data: dict[str, str], told: str
) -> None:
    """Before anything is planned. What somebody else's deploy takes is its own affair."""
    (tmp_path / "inventory.py").write_text(INVENTORY)
    ours = str(repository / f"deploys/{deploy}.py")
    [refused] = of(Refused, carried_out(tmp_path, task="describe", data=data, deploy=ours))
    assert refused.message.startswith(told)
    assert of(Described, carried_out(tmp_path, task="describe", data=data, deploy=str(tmp_path / f"{deploy}.py")))


def test_a_host_that_refuses_is_told_from_one_that_is_away() -> None:
    """paramiko's text is the same for both; what it met at each address is in the exception behind."""
    for met, told in (
        (ConnectionRefusedError(), "it refuses connections"),
        (OSError(113, "x"), "there is no way to it"),
    ):
        error = OSError("Could not connect ([Errno None] Unable to connect to port 22 on 192.0.2.1)")
        error.__context__ = NoValidConnectionsError({("192.0.2.1", 22): met})
        assert sentences.of_connecting("web1", error) == f"web1 cannot be reached: {told}"


def test_what_is_read_as_a_secret_is_covered(tmp_path: Path) -> None:
    """Also single lines of a key, but nothing that is too short to be found by chance."""
    (tmp_path / "key").write_text("-----BEGIN-----\nfirst line\nab\n-----END-----\n")
    masks = Masks()
    assert masks.cover("the first line") == "the first line"
    Secret(file=str(tmp_path / "key")).read()
    assert masks.cover("the first line, ab") == "the *****, ab"
    (tmp_path / "environment").write_text("A_KEY=abcdefgh\nexport OTHER='ijk lmn'\nX=ab\n")
    Secret(file=str(tmp_path / "environment")).read()
    assert masks.cover("wrong: abcdefgh, ijk lmn, ab; A_KEY=abcdefgh") == "wrong: *****, *****, ab; *****"
    assert masks.covered({"host": "first line", "rows": ["first line"]}) == {"host": "first line", "rows": ["*****"]}
