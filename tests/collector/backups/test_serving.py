"""restic's REST protocol, as a host speaks it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from backup.stores.contract import FileKind
from collector import audit
from collector.backups import records, uploads
from collector.backups.settings import BackupOptions, RepositoryOptions
from collector.store import hosts
from kit.units import Size
from tests.collector import support
from tests.collector.backups.support import VERSION_2, Guest, basic, files_below, guest, name_of

KINDS = ("keys", "locks", "snapshots", "index", "data")
CONTENT = bytes(range(256)) * 200


def receipts(home: support.Home, repository: str, kind: FileKind) -> list[records.Receipt]:
    """Those that home has."""
    with home.database.read() as connection:
        return list(records.receipts(connection, repository, kind))


def stock(home: support.Home, repository: str) -> records.Repository:
    """What home knows of a repository."""
    with home.database.read() as connection:
        found = records.repository(connection, repository)
    assert found is not None
    return found


def test_what_is_saved_can_be_read(keeper: support.Home, web1: Guest) -> None:
    """Whole, in parts and in lists of both versions; and home knows when it came, and from whom."""
    keeper.clock.now += 7
    for kind in KINDS:
        name = web1.save(kind, CONTENT)
        answer = web1.request("GET", f"{kind}/{name}")
        assert (answer.status_code, answer.content) == (200, CONTENT)
        part = web1.request("GET", f"{kind}/{name}", headers={"Range": "bytes=255-511"})
        assert (part.status_code, part.content) == (206, CONTENT[255:512])
        assert part.headers["content-range"] == f"bytes 255-511/{len(CONTENT)}"
        beyond = web1.request("GET", f"{kind}/{name}", headers={"Range": f"bytes={len(CONTENT)}-"})
        assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(CONTENT)}")
        head = web1.request("HEAD", f"{kind}/{name}", headers={"Range": "bytes=1-2"})
        assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(CONTENT)), b"")
        assert web1.listed(kind) == {name: len(CONTENT)}
        first = web1.request("GET", f"{kind}/")
        assert (first.headers["content-type"], first.json()) == ("application/vnd.x.restic.rest.v1", [name])
        [receipt] = receipts(keeper, web1.repository, FileKind(kind))
        expected = (web1.repository, FileKind(kind), name, len(CONTENT), support.NOW + 7, web1.user)
        assert receipt == records.Receipt(*expected)


def test_long_lists_and_long_files_come_in_pieces(web1: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is missing or twice where one ends."""
    monkeypatch.setattr("collector.backups.replies.PIECE", 1000)
    monkeypatch.setattr("collector.backups.replies.LISTED", 2)
    monkeypatch.setattr("collector.backups.uploads.PIECE", 1000)
    expected = {}
    for number in range(7):
        content = CONTENT[: 1000 * number]
        expected[web1.save("data", content)] = len(content)
    assert web1.listed("data") == expected
    for name, size in expected.items():
        assert web1.request("GET", f"data/{name}").content == CONTENT[:size]
    assert web1.listed("index") == {}
    assert web1.request("GET", "index/").json() == []


def test_the_folder_is_a_repository_of_restics_layout(tmp_path: Path, web1: Guest) -> None:
    """So whoever sits at home's machine can name it to restic."""
    name = web1.save("data", b"pack")
    lock = web1.save("locks", b"lock")
    root = tmp_path / "backups" / web1.repository
    assert files_below(root) == {
        "config": b"config of " + web1.user.encode(),
        f"data/{name[:2]}/{name}": b"pack",
        f"locks/{lock}": b"lock",
    }
    assert (root / "data" / name[:2] / name).stat().st_mode & 0o777 == 0o400


def test_content_is_held_against_its_name(tmp_path: Path, web1: Guest) -> None:
    """What is another, or is cut, leaves nothing behind and is never seen."""
    before = files_below(tmp_path / "backups")
    for kind in KINDS:
        answer = web1.request("POST", f"{kind}/{name_of(b'right')}", content=b"wrong")
        assert answer.status_code == 400
        assert "SHA-256" in answer.text
        assert web1.listed(kind) == {}
    assert files_below(tmp_path / "backups") == before


def test_nothing_is_replaced(tmp_path: Path, keeper: support.Home, web1: Guest) -> None:
    """The same again is acknowledged, and changes nothing; a damaged file is not papered over."""
    name = web1.save("data", b"pack")
    keeper.clock.now += 100
    web1.save("data", b"pack")
    assert [one.received for one in receipts(keeper, web1.repository, FileKind.PACK)] == [support.NOW]
    assert stock(keeper, web1.repository).files == 2
    path = tmp_path / "backups" / web1.repository / "data" / name[:2] / name
    path.chmod(0o600)
    path.write_bytes(b"kcap")
    assert web1.request("POST", f"data/{name}", content=b"pack").status_code == 403
    assert path.read_bytes() == b"kcap"
    config = b"config of " + web1.user.encode()
    assert web1.request("POST", "config", content=config).status_code == 200
    refused = web1.request("POST", "config", content=b"another")
    assert (refused.status_code, "nothing is replaced" in refused.text) == (403, True)
    assert web1.request("GET", "config").content == config


def test_a_host_removes_its_own_locks_and_nothing_else(keeper: support.Home, web1: Guest) -> None:
    """Not even what it saved itself; and what is removed is no longer counted."""
    names = {kind: web1.save(kind, b"x") for kind in KINDS}
    used = stock(keeper, web1.repository).used
    for kind in ("keys", "snapshots", "index", "data"):
        answer = web1.request("DELETE", f"{kind}/{names[kind]}")
        assert (answer.status_code, "own locks" in answer.text) == (403, True)
        assert names[kind] in web1.listed(kind)
    for path in ("config", ""):
        assert web1.request("DELETE", path).status_code == 403
    assert web1.request("DELETE", f"locks/{name_of(b'nowhere')}").status_code == 404
    assert web1.request("DELETE", f"locks/{names['locks']}").status_code == 200
    assert web1.request("DELETE", f"locks/{names['locks']}").status_code == 404
    assert web1.listed("locks") == {}
    assert stock(keeper, web1.repository).used == used - 1


def test_hosts_that_share_a_repository_read_all_and_remove_their_own_locks(tmp_path: Path) -> None:
    """Each of the group sees what the others saved."""
    options = BackupOptions(
        keep_free=Size(0), repositories={"web": RepositoryOptions(hosts=("web1", "web2"), quota=Size(10_000))}
    )
    with support.home(tmp_path, options) as home:
        one, other, stranger = guest(home, "web1"), guest(home, "web2"), guest(home, "db1")
        one.create()
        assert one.repository == other.repository == "web" != stranger.repository
        name, lock = one.save("data", b"pack"), one.save("locks", b"lock")
        assert other.listed("data") == {name: 4}
        assert other.request("DELETE", f"locks/{lock}").status_code == 403
        other.save("locks", b"lock")  # the same content again makes it nobody else's
        assert other.request("DELETE", f"locks/{lock}").status_code == 403
        assert one.request("DELETE", f"locks/{lock}").status_code == 200
        assert stock(home, "web").host is None
        stranger.repository = "web"
        assert stranger.request("GET", f"data/{name}").status_code == 403


def test_a_host_may_be_allowed_to_remove(tmp_path: Path) -> None:
    """By home's administrator, who then leaves keeping to it."""
    with support.home(tmp_path, BackupOptions(keep_free=Size(0), append_only=False)) as home:
        made = guest(home)
        made.create()
        for kind in KINDS:
            name = made.save(kind, b"x")
            assert made.request("DELETE", f"{kind}/{name}").status_code == 200
        assert stock(home, made.repository).files == 1
        assert made.request("DELETE", "config").status_code == 200  # restic's migrate writes it anew
        assert made.request("GET", "config").status_code == 404
        assert made.request("DELETE", "").status_code == 403


def test_the_repository_has_three_names_and_no_other_leads_anywhere(keeper: support.Home, web1: Guest) -> None:
    """Whether another one exists cannot be told from the answer."""
    web2 = guest(keeper, "web2")
    web2.create()
    config = web1.request("GET", "config").content
    for name in (web1.user, "web1"):
        web1.repository = name
        assert web1.request("GET", "config").content == config
    said = set()
    for name in (web2.repository, "web2", "nobody", "..%2f" + web2.repository, web2.repository + "%00"):
        web1.repository = name
        for method, path in (("GET", "config"), ("POST", "?create=true"), ("GET", "data/"), ("DELETE", "")):
            answer = web1.request(method, path)
            assert answer.status_code == 403
            said.add(answer.text)
    assert len(said) == 1


def test_before_it_is_made_there_is_no_repository(keeper: support.Home) -> None:
    """Which restic is told as it expects."""
    made = guest(keeper)
    assert made.request("GET", "config").status_code == 404
    assert made.request("HEAD", "config").status_code == 404
    assert made.request("GET", "data/").status_code == 404
    assert made.request("POST", f"data/{name_of(b'x')}", content=b"x").status_code in (404, 503)
    assert made.request("POST", "?create=false").status_code == 400
    assert made.request("POST", "?create=true").status_code == 200
    assert made.listed("keys") == {}
    assert made.request("POST", "?create=true").status_code == 200


def test_a_quota_is_kept(tmp_path: Path) -> None:
    """Who is over it is told what it is, and can go on removing locks and reading."""
    with support.home(tmp_path, BackupOptions(keep_free=Size(0), quota=Size(2000))) as home:
        made = guest(home)
        made.create()
        name = made.save("data", bytes(1500))
        refused = made.request("POST", f"data/{name_of(bytes(1000))}", content=bytes(1000))
        assert refused.status_code == 507
        assert "quota" in refused.text
        assert made.listed("data") == {name: 1500}
        lock = made.save("locks", b"lock")
        assert made.request("DELETE", f"locks/{lock}").status_code == 200


def test_room_is_kept_free(tmp_path: Path) -> None:
    """Home's disk belongs to home's database too."""
    with support.home(tmp_path, BackupOptions(keep_free=Size(1 << 60))) as home:
        made = guest(home)
        assert made.request("POST", "?create=true").status_code == 200
        refused = made.request("POST", "config", content=b"config")
        assert refused.status_code == 507
        assert "disk is full" in refused.text


async def endless() -> AsyncIterator[bytes]:
    """A body whose length nobody says."""
    while True:
        yield b"x"


def test_files_are_bounded(web1: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In size by their kind; in number too: many keys would keep everybody out, and names take home's memory."""
    assert web1.request("POST", f"keys/{'0' * 64}", content=bytes(70_000)).status_code == 413
    assert web1.request("POST", f"keys/{'0' * 64}", content=endless()).status_code == 411
    for number in range(16):
        web1.save("keys", b"key %d" % number)
    refused = web1.request("POST", f"keys/{name_of(b'one more')}", content=b"one more")
    assert (refused.status_code, "16 files in keys" in refused.text) == (507, True)
    monkeypatch.setattr(uploads, "MOST_FILES", 18)
    web1.save("data", b"the last pack")
    refused = web1.request("POST", f"data/{name_of(b'one more')}", content=b"one more")
    assert (refused.status_code, "has 18 files" in refused.text) == (507, True)
    web1.save("locks", b"a lock")


def test_what_is_no_part_of_the_protocol_is_refused(web1: Guest) -> None:
    """In a sentence, and without a trace."""
    for method, path, status in (
        ("PUT", "config", 405),
        ("PATCH", f"data/{'0' * 64}", 405),
        ("POST", "data/", 405),
        ("GET", "", 405),
        ("GET", "tmp/", 404),
        ("GET", "data/ab", 404),
        ("GET", f"data/{'0' * 64}", 404),
        ("DELETE", "data/", 405),
    ):
        assert web1.request(method, path).status_code == status, (method, path)


def test_a_disk_that_is_not_mounted_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    """What was received is remembered: home neither begins anew nor says that there is nothing."""
    place = tmp_path / "disk"
    place.mkdir()
    with support.home(tmp_path, BackupOptions(keep_free=Size(0), place=str(place))) as home:
        made = guest(home)
        made.create()
        name = made.save("data", b"pack")
        place.rename(tmp_path / "away")
        for method, path in (("GET", "config"), ("POST", "?create=true"), ("GET", "data/")):
            assert made.request(method, path).status_code == 503
        assert made.request("POST", f"data/{name_of(b'more')}", content=b"more").status_code == 503
        assert not place.exists()
        place.mkdir()  # the empty mount point
        for method, path in (("GET", "config"), ("POST", "?create=true"), ("GET", "data/")):
            assert made.request(method, path).status_code == 503
        assert list(place.iterdir()) == []
        place.rmdir()
        (tmp_path / "away").rename(place)
        assert made.listed("data") == {name: 4}


def test_a_disk_that_is_full_is_told(web1: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As 507, and nothing is acknowledged or left behind."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("collector.backups.uploads._absorb", full)
    refused = web1.request("POST", f"data/{name_of(b'pack')}", content=b"pack")
    assert (refused.status_code, "full" in refused.text) == (507, True)
    monkeypatch.undo()
    assert web1.listed("data") == {}


def test_without_a_right_credential_nobody_comes_in(keeper: support.Home, web1: Guest) -> None:
    """Whatever is wrong with it, the answer is the same, and says how to come in."""
    headers: list[dict[str, str]] = [
        {},
        {"Authorization": "Bearer " + web1.password},
        {"Authorization": "Basic !!!"},
        basic(web1.user, ""),
        basic("", web1.password),
        basic(web1.user, web1.password + "x"),
        basic("nobody", web1.password),
        basic(web1.user.upper(), web1.password),
    ]
    for given in headers:
        answer = keeper.client.get(f"/backup/{web1.repository}/config", headers=given)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic ")
    acts = [entry.act for entry in audit_entries(keeper)]
    assert acts.count("backup.refused") == len(headers) - 1


def audit_entries(home: support.Home) -> list[audit.Entry]:
    """The newest first."""
    with home.database.read() as connection:
        return audit.entries(connection, limit=1000)


def test_guesses_are_slowed_and_lock_nobody_out(keeper: support.Home, web1: Guest) -> None:
    """However many came from the host's own address and under its name, the right credential is let in."""
    path = f"/backup/{web1.repository}/config"
    statuses = [
        keeper.client.get(path, headers=basic(web1.user, f"guess {number}")).status_code for number in range(60)
    ]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    assert statuses.count(401) <= 12
    assert web1.request("GET", "config").status_code == 200
    keeper.clock.now += 3700
    again = keeper.client.get(path, headers=basic(web1.user, "guess"))
    assert again.status_code == 401


def test_revoking_a_host_ends_its_credential(keeper: support.Home, web1: Guest) -> None:
    """At once; a new host of its name sees nothing of what it saved."""
    web1.save("data", b"pack")
    with keeper.database.write() as connection:
        hosts.revoke(connection, web1.user, keeper.clock())
    assert web1.request("GET", "config").status_code == 401
    assert web1.ask().status_code == 403
    heir = guest(keeper, "web1")
    assert heir.repository != web1.repository
    assert heir.request("GET", "config").status_code == 404
    heir.repository = web1.repository
    assert heir.request("GET", "config").status_code == 403


def test_lists_say_what_they_are(web1: Guest) -> None:
    """restic of version 2 asks by Accept; what asks for anything gets version 1, as of old."""
    web1.save("data", b"pack")
    for accept, second in ((VERSION_2, True), (f"text/html, {VERSION_2};q=0.9", True), ("*/*", False)):
        answer = web1.request("GET", "data/", headers={"Accept": accept})
        assert isinstance(answer.json()[0], dict) is second


def test_a_file_that_is_removed_and_sent_at_once_never_stays_without_a_receipt(
    keeper: support.Home, web1: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that nobody left could be removed by nobody, and would be counted by no bound."""
    lock = web1.save("locks", b"lock")
    serving = keeper.app.state.services.backups.app
    headers, url = basic(web1.user, web1.password), f"/backup/{web1.repository}/locks/{lock}"
    forget = serving.receipts.forget
    sent: list[asyncio.Task[httpx.Response]] = []

    async def slow(receipt: records.Receipt) -> None:
        sent.append(asyncio.create_task(keeper.client._client.post(url, headers=headers, content=b"lock")))
        await asyncio.sleep(0.3)
        await forget(receipt)

    async def race() -> int:
        removed = await keeper.client._client.delete(url, headers=headers)
        assert removed.status_code == 200
        return (await sent[0]).status_code

    monkeypatch.setattr(serving.receipts, "forget", slow)
    assert keeper.client._portal.call(race) == 200
    assert web1.listed("locks") == {lock: 4}
    assert [one.host for one in receipts(keeper, web1.repository, FileKind.LOCK)] == [web1.user]
