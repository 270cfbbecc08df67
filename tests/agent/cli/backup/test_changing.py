"""Commands that change a repository, which restic then looks at."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from backup.format.gotime import Moment
from backup.format.lock import Lock, encode_lock
from backup.repository.opening import open_repository
from backup.stores.contract import FileKind
from backup.stores.local import LocalStore
from tests.agent.cli.backup.repos import PASSWORD, Place, call
from tests.backup.stores.servers import KEY, SECRET, restics_server
from tests.peers import newest_restic


@pytest.fixture
def copy(filled: Place, tmp_path: Path) -> Place:
    """One with restic's three snapshots, to be changed."""
    shutil.copytree(filled.folder, tmp_path / "copy")
    return Place(tmp_path / "copy", filled.restic)


def test_a_new_repository_is_one_for_restic(tmp_path: Path) -> None:
    """Its JSON too."""
    place = Place(tmp_path / "new", newest_restic())
    said = place.json("init")
    assert said == {
        "message_type": "initialized",
        "id": place.opened().config.id,
        "repository": str(place.folder),
    }
    assert "no errors were found" in place.peer("check")
    again = call(["backup", "init"], place.environment())
    assert again.returncode == 1
    assert again.stderr == f"hostward: there is a repository in {place.folder} already\n"


def test_what_no_rule_keeps_is_forgotten(copy: Place) -> None:
    """And what it took is freed by --prune; each that stays says why."""
    first, second, third = (each["short_id"] for each in copy.json("snapshots"))
    said = copy.hostward("forget", "--keep-last", "1", "--prune")
    assert f"removed 1 snapshot: {first}" in said
    kept = next(line for line in said.splitlines() if line.startswith(second))
    assert "last snapshot" in kept
    assert "freed " in said
    assert [each["short_id"] for each in copy.json("snapshots")] == [second, third]
    assert "no errors were found" in copy.peer("check", "--read-data")


def test_reasons_stand_below_each_other(copy: Place) -> None:
    """So that the table is not as wide as many rules are."""
    said = copy.hostward("forget", "--keep-last", "2", "--keep-daily", "2", "--keep-tag", "one", "--dry-run")
    lines = said.splitlines()
    at = next(number for number, line in enumerate(lines) if "last snapshot" in line)
    column = lines[at].index("last snapshot")
    assert lines[at + 1] == " " * column + "daily snapshot"


def test_a_dry_run_changes_nothing(copy: Place) -> None:
    """It says what would be, and needs no lock where that is asked for."""
    before = contents(copy.folder)
    said = copy.hostward("forget", "--keep-last", "1", "--dry-run", "--prune")
    assert "would remove 1 snapshot" in said
    assert "would free" in said
    copy.hostward("prune", "--dry-run", "--no-lock")
    assert contents(copy.folder) == before


def test_a_place_that_only_adds_forgets_nothing(filled: Place, tmp_path: Path) -> None:
    """One sentence says so, whatever the number of snapshots; no lock is left."""
    shutil.copytree(filled.folder, tmp_path / "root" / KEY / "copy")
    with restics_server(tmp_path, "--append-only") as port:
        url = f"rest:http://{KEY}:{SECRET}@127.0.0.1:{port}/{KEY}/copy/"
        environment = filled.environment(HOSTWARD_REPOSITORY=url, HOME=str(tmp_path))
        done = call(["backup", "forget", "--keep-last", "1", "--group-by", "", "--quiet", "--prune"], environment)
        assert done.returncode == 1
        shown = url.replace(SECRET, "***")
        assert done.stderr == f"hostward: {shown}: the server removes nothing: it only takes what is added\n"
        assert call(["backup", "list", "locks"], environment).stdout == ""
        assert len(call(["backup", "list", "snapshots"], environment).stdout.split()) == 3


@pytest.mark.parametrize(
    "words",
    [
        ["--add", "new,two", "--remove", "one"],
        ["latest", "--add", "new", "--add", "new"],
        ["--tag", "two", "--set", "a,b"],
        ["--host", "db1", "--remove", "other"],
        ["--remove", "nothing"],
    ],
    ids=range(5),
)
def test_tags_become_what_restic_makes_of_them(words: list[str], copy: Place, tmp_path: Path) -> None:
    """Twice, for the first original stays; and it says what restic says. Only the order is the old one here."""
    other = Place(tmp_path / "other", copy.restic)
    shutil.copytree(copy.folder, other.folder)

    def state(place: Place) -> list[tuple[object, ...]]:
        found = place.opened().snapshots()
        return [(each.moment, sorted(each.tags), each.original, each.tree, each.hostname) for each in found]

    for more in ([], ["--add", "later"]):
        chosen = [word for word in words if word == "latest"] + more if more else words
        mine, their = (
            sorted(map(str, lines if isinstance(lines, list) else [lines]))
            for lines in (copy.json("tag", *chosen), other.peer_json("tag", *chosen))
        )
        assert len(mine) == len(their)
        assert mine[-1] == their[-1]
        assert state(copy) == state(other)
    assert "no errors were found" in copy.peer("check")


def test_tags_are_changed_in_one_way_at_a_time(copy: Place) -> None:
    """And all of them can be taken away."""
    for words in (["tag"], ["tag", "--set", "a", "--add", "b"]):
        assert "expected either --set, or --add and --remove" in call(["backup", *words], copy.environment()).stderr
    assert copy.hostward("tag", "--set", "", "-v").splitlines()[-1] == "changed 2 snapshots"
    assert all(not each.tags for each in copy.opened().snapshots())


def test_no_rule_forgets_nothing(copy: Place) -> None:
    """Nor do rules that keep nothing of a group, unless that is said twice."""
    before = contents(copy.folder)
    for words, code in (
        (["forget"], 2),
        (["forget", "--keep-tag", "other"], 1),
        (["forget", "--unsafe-allow-remove-all"], 2),
        (["forget", "--keep-last", "few"], 2),
        (["forget", "--keep-within", "soon"], 2),
        (["forget", "nowhere"], 1),
        (["forget", "--no-lock", "--keep-last", "1"], 2),
    ):
        copy.hostward(*words, code=code)
    assert contents(copy.folder) == before
    copy.hostward("forget", "--unsafe-allow-remove-all", "--host", "db1")
    assert {each["hostname"] for each in copy.json("snapshots")} == {"web1"}


def test_snapshots_are_forgotten_by_their_ids(copy: Place) -> None:
    """Without a word in JSON, as restic has it."""
    first = copy.json("snapshots")[0]["short_id"]
    assert copy.hostward("forget", "latest", first, "--json") == ""
    assert len(copy.json("snapshots")) == 1


def test_packs_that_are_joined_must_be_able_to_grow_beyond_the_limit(copy: Place) -> None:
    """Or each prune would write them anew."""
    copy.hostward("prune", "--repack-smaller-than", "16M", code=2)
    copy.hostward("forget", "--keep-last", "9", "--prune", "--repack-smaller-than", "15M")


def test_prune_frees_what_forget_left(copy: Place) -> None:
    """With figures in JSON; a second time there is nothing to do."""
    copy.hostward("forget", "latest", "--host", "web1", "--quiet")
    copy.hostward("forget", "--host", "web1", "--unsafe-allow-remove-all", "--quiet")
    figures = copy.json("prune", "--max-unused", "0")
    assert figures["message_type"] == "summary"
    assert figures["freed"] > 3_000_000
    assert copy.json("prune")["freed"] == 0
    assert "no errors were found" in copy.peer("check", "--read-data")


def test_passwords_are_added_changed_and_removed(copy: Place, tmp_path: Path) -> None:
    """restic opens it by the new ones alone."""
    second, third = tmp_path / "second", tmp_path / "third"
    for file, text in ((second, "second one"), (third, "third one")):
        file.touch(mode=0o600)
        file.write_text(text + "\n")
    (old,) = copy.json("key", "list")
    assert "added the key" in copy.hostward(
        "key", "add", "--new-password-file", second, "--user", "ann", "--host", "h"
    )
    (added,) = [key for key in copy.json("key", "list") if not key["current"]]
    assert (added["userName"], added["hostName"]) == ("ann", "h")
    copy.peer("cat", "config", password="second one")
    copy.hostward("key", "passwd", "--new-password-file", third)
    names = {key["id"] for key in copy.json("key", "list", "-p", third)}
    assert old["id"] not in names
    assert len(names) == 2
    copy.hostward("key", "list", code=12)
    copy.peer("cat", "config", password="third one")
    copy.hostward("key", "remove", added["id"][:8], "-p", third)
    copy.hostward("key", "list", "-p", second, code=12)
    (current,) = copy.json("key", "list", "-p", third)
    copy.hostward("key", "remove", current["id"], "-p", third, code=1)
    done = call(["backup", "key", "remove", "zz", "-p", str(third)], copy.environment())
    assert done.stderr == (
        'hostward: there is no key whose id begins with "zz"; `hostward backup key list` shows them\n'
    )
    untold = call(["backup", "key", "add"], copy.environment(HOSTWARD_PASSWORD="third one"))
    assert (untold.returncode, untold.stderr) == (2, "hostward: there is no password: give --new-password-file\n")


def test_a_damaged_key_file_hides_no_other(copy: Place) -> None:
    """It is named in a warning."""
    (copy.folder / "keys" / ("00" * 32)).write_bytes(b"rubbish")
    done = call(["backup", "key", "list", "--json"], copy.environment())
    assert done.returncode == 0
    assert [key["current"] for key in json.loads(done.stdout)] == [True]
    assert done.stderr.startswith("hostward: left out: key 00000000: ")
    assert len(done.stderr.splitlines()) == 1


def test_locks_of_the_living_stay(copy: Place) -> None:
    """Exit code 11 while somebody works; `unlock` removes what the dead left, --remove-all all."""
    repository = open_repository(LocalStore(str(copy.folder)), PASSWORD.encode())
    with repository.lock(exclusive=True):
        done = call(["backup", "snapshots", "--json"], copy.environment())
        assert done.returncode == 11
        assert json.loads(done.stderr)["code"] == 11
        assert copy.hostward("unlock") == "removed 0 locks\n"
        assert len(copy.hostward("list", "locks").splitlines()) == 1
        said = copy.hostward("unlock", "--remove-all")
        who = rf".+ on {re.escape(socket.gethostname())}, process {os.getpid()}, 0 min ago"
        assert re.fullmatch(rf"lock [0-9a-f]{{8}}: {who}\nremoved 1 lock\n", said)
        assert copy.hostward("list", "locks") == ""


def test_a_lock_of_a_process_that_is_gone_says_so(copy: Place) -> None:
    """And with which command it goes."""
    with subprocess.Popen(["true"]) as ended:
        pass
    repository = copy.opened()
    lock = Lock(Moment(time.time_ns(), 0), True, socket.gethostname(), "ann", ended.pid, 0, 0)
    repository.save_file(FileKind.LOCK, encode_lock(lock))
    done = call(["backup", "snapshots"], copy.environment())
    assert done.returncode == 11
    assert f"by ann on {socket.gethostname()}, process {ended.pid}, 0 min ago; that process is gone" in done.stderr
    assert "`hostward backup unlock`" in done.stderr
    (copy.folder / "locks" / ("00" * 32)).write_bytes(b"rubbish")
    assert copy.hostward("unlock").splitlines()[1:] == ["removed 1 lock"]
    assert "lock 00000000: could not be read" in copy.hostward("unlock", "--remove-all")


def test_what_is_damaged_is_named(copy: Place) -> None:
    """With what suffers from it, what to do next, and exit code 1."""
    pack = max((copy.folder / "data").rglob("*/*"), key=lambda path: path.stat().st_size)
    content = bytearray(pack.read_bytes())
    content[1000] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(content)
    copy.hostward("check")
    done = call(["backup", "check", "--read-data"], copy.environment())
    assert done.returncode == 1
    assert pack.name[:8] in done.stderr
    assert "/top/big" in done.stdout
    assert f"hostward backup repair packs {pack.name[:8]}" in done.stdout
    summary = json.loads(copy.hostward("check", "--read-data", "--json", code=1))
    assert summary["broken_packs"] == [pack.name]
    assert summary["num_errors"] >= 1


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the locks."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "locks" not in path.parts
    }
