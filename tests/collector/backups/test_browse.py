"""Operators look into snapshots at home and take files out of them; nothing in one harms home or whoever looks."""

from __future__ import annotations

import asyncio
import io
import random
import signal
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import select

from backup.format.gotime import Moment
from backup.format.node import FIFO, SYMLINK, Node
from backup.format.snapshot import Snapshot
from backup.repository.repository import Repository
from backup.stores.contract import FileKind
from backup.stores.local import LocalStore
from collector.audit import Strangers
from collector.auth import COOKIE, Auth
from collector.backups.browse import process
from collector.backups.browse.messages import MOST_ENTRIES, Fetch, ListSnapshots, Task
from collector.backups.keeping.messages import Access, Limits
from collector.backups.settings import BackupOptions, RepositoryOptions
from collector.credentials import hash_password
from collector.store import accounts
from collector.store.accounts import Role
from collector.store.tables import audit
from collector.web.browse import disposition
from kit.units import Size
from tests.backup.restore.making import CHEAP, PASSWORD, TIME, Made
from tests.collector import support
from tests.collector.support import NOW
from tests.web.test_pages import Markup

LOGIN = "long enough"
HASH = hash_password(LOGIN)
ODD = b"caf\xe9 <b>\"'&\n"
"""A name that is no UTF-8, and markup."""
LARGE = random.Random(1).randbytes(2 << 20)


@dataclass
class Shelf:
    """A home that has the password of web1's repository, and a snapshot in it."""

    folder: Path
    home: support.Home
    host: support.Host
    made: Made
    snapshot: str
    cookies: dict[str, str]

    def get(self, what: str = "", role: Role = "operator") -> httpx.Response:
        """Of the host's snapshots."""
        path = f"/hosts/{self.host.id}/backups/snapshots{what}"
        return self.home.client.get(path, headers={"Cookie": f"{COOKIE}={self.cookies[role]}"})

    def page(self, what: str = "") -> Markup:
        """One that is there."""
        answer = self.get(what)
        assert answer.status_code == 200, answer.text
        return Markup(answer.text)

    def content(self, path: bytes) -> httpx.Response:
        """A download."""
        return self.get(f"/{self.snapshot}/download?path={quote(path)}")

    def files(self) -> dict[FileKind, list[tuple[str, int]]]:
        """What is in the repository, locks too."""
        return {kind: sorted(self.made.repository.store.list(kind)) for kind in FileKind}

    def acts(self) -> list[tuple[str, str, str, str]]:
        """What was written down of looks and downloads."""
        with self.home.database.read() as connection:
            rows = connection.execute(select(audit).order_by(audit.c.number))
            return [(row.act, row.actor, row.subject, row.detail) for row in rows if row.act.startswith("backup.")]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """With files of all kinds in it; tests leave it as it was."""
    folder = tmp_path_factory.mktemp("shelf")
    secret = folder / "password"
    secret.write_bytes(PASSWORD + b"\n")
    secret.chmod(0o600)
    options = BackupOptions(keep_free=Size(0), repositories={"web1": RepositoryOptions(password_file=str(secret))})
    with support.home(folder, options) as home:
        host = support.Host(home.client, home.clock)
        assert host.enroll(home.token()).status_code == 200
        made = Made()
        place = folder / "backups" / host.id
        place.parent.mkdir(exist_ok=True)
        made.repository = Repository.create(LocalStore(place), PASSWORD, cost=CHEAP)
        tree = made.tree(
            Node(b"dev", FIFO, mtime=TIME),
            made.folder(
                b"etc",
                made.file(b"hosts", b"127.0.0.1 localhost\n"),
                Node(b"shadow", SYMLINK, mtime=TIME, linktarget=b"/etc/shadow"),
            ),
            made.file(b"large", *(LARGE[start : start + 65536] for start in range(0, len(LARGE), 65536))),
            made.folder(ODD, made.file(ODD, b"odd")),
        )
        snapshot = made.repository.save_snapshot(
            Snapshot(Moment(int(NOW) * 10**9), tree, ("/",), hostname="<i>web1</i>", tags=("nightly",))
        )
        cookies = {role: session(home, role) for role in ("viewer", "operator")}
        yield Shelf(folder, home, host, made, snapshot, cookies)


def session(home: support.Home, role: Role) -> str:
    """Of a person with this role."""
    with home.database.write() as connection:
        accounts.add_account(connection, role, HASH, role, home.clock())
    token = asyncio.run(Auth(home.database, home.clock, Strangers()).login(role, LOGIN, "192.0.2.1"))
    assert token is not None
    return token


def test_a_person_goes_from_the_snapshot_to_a_file_and_each_step_is_audited(shelf: Shelf) -> None:
    """By the links of the pages alone; nothing that a host wrote becomes markup. The repository stays as it is."""
    earlier, before = len(shelf.acts()), shelf.files()
    words = shelf.page().words
    assert shelf.snapshot[:8] in words and "<i>web1</i>" in words and "nightly" in words
    page = shelf.page(f"/{shelf.snapshot}")
    assert "4 entries" in page.words and "<b>" in page.words
    (etc,) = (link["href"] for link in page.all("a") if (link["href"] or "").endswith(f"{shelf.snapshot}?path=/etc"))
    assert etc is not None
    inside = shelf.page(etc.partition("/snapshots")[2])
    assert "→ /etc/shadow" in inside.words
    (hosts,) = (link["href"] for link in inside.all("a") if (link["href"] or "").endswith("?path=/etc/hosts"))
    assert hosts is not None
    answer = shelf.get(hosts.partition("/snapshots")[2])
    assert answer.content == b"127.0.0.1 localhost\n"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith('attachment; filename="hosts";')
    assert answer.headers["x-content-type-options"] == "nosniff"
    named = f"snapshot {shelf.snapshot[:8]}, "
    assert shelf.files() == before
    assert shelf.acts()[earlier:] == [
        ("backup.browsed", "user:operator", f"host:{shelf.host.id}", "the list of snapshots"),
        ("backup.browsed", "user:operator", f"host:{shelf.host.id}", named + "/"),
        ("backup.browsed", "user:operator", f"host:{shelf.host.id}", named + "/etc"),
        ("backup.downloaded", "user:operator", f"host:{shelf.host.id}", named + "/etc/hosts"),
    ]


def test_names_of_any_bytes_lead_where_they_say(shelf: Shelf) -> None:
    """A folder and a file in it; the download is called as nearly so as a system can."""
    page = shelf.page(f"/{shelf.snapshot}?path=/{quote(ODD)}")
    assert r"caf\xe9" in page.words
    (link,) = (
        link["href"]
        for link in page.all("a")
        if "download" in (link["href"] or "") and "get" in (link.get("class") or "")
    )
    assert link is not None
    answer = shelf.get(link.partition("/snapshots")[2])
    assert answer.content == b"odd"
    assert "\n" not in answer.headers["content-disposition"]


def test_large_files_and_folders_are_streamed_whole(shelf: Shelf) -> None:
    """A folder as a tar, in which a link is a link: nothing of home's own is read through it."""
    answer = shelf.content(b"/large")
    assert answer.content == LARGE and answer.headers["content-length"] == str(len(LARGE))
    answer = shelf.content(b"/")
    assert f'filename="{shelf.snapshot[:8]}.tar"' in answer.headers["content-disposition"]
    assert answer.headers["content-type"] == "application/x-tar"
    with tarfile.open(fileobj=io.BytesIO(answer.content), encoding="utf-8", errors="surrogateescape") as archive:
        assert archive.getmember("etc/shadow").issym()
        hosts = archive.extractfile("etc/hosts")
        assert hosts is not None and hosts.read() == b"127.0.0.1 localhost\n"
        assert len(archive.getnames()) == 7


def test_what_is_not_there_is_told_in_a_sentence(shelf: Shelf) -> None:
    """A file is no folder, and a link leads nowhere here."""
    for what in ("/{snapshot}?path=/large", "/{snapshot}/download?path=/etc/shadow", "/{other}"):
        answer = shelf.get(what.format(snapshot=shelf.snapshot, other="0" * 64))
        assert answer.status_code == 409
        assert "It could not be shown" in Markup(answer.text).words


def test_what_makes_no_sense_starts_nothing(shelf: Shelf) -> None:
    earlier = shelf.acts()
    for path in ("etc", "/etc/../..", "/etc//hosts", "/%00", "/" + "x" * 4096):
        assert shelf.get(f"/{shelf.snapshot}?path={path}").status_code in (400, 422)
    for snapshot in ("latest", "..%2f..%2fconfig", shelf.snapshot.upper()):
        assert shelf.get(f"/{snapshot}").status_code == 404
    assert shelf.acts() == earlier


def test_a_viewer_sees_none_of_it(shelf: Shelf) -> None:
    """Nor the way there."""
    earlier = shelf.acts()
    for what in ("", f"/{shelf.snapshot}", f"/{shelf.snapshot}/download?path=/etc/hosts"):
        assert shelf.get(what, role="viewer").status_code == 403
    assert shelf.acts() == earlier
    for role, shown in (("viewer", False), ("operator", True)):
        path = f"/hosts/{shelf.host.id}/backups"
        answer = shelf.home.client.get(path, headers={"Cookie": f"{COOKIE}={shelf.cookies[role]}"})
        assert ("Look into snapshots" in answer.text) == shown


def test_a_file_that_is_damaged_ends_before_its_end(shelf: Shelf) -> None:
    """It is shorter than was announced, so whoever downloads sees that it broke off."""
    (pack,) = (path for path in shelf.folder.rglob("data/*/*") if path.stat().st_size > 1 << 20)
    whole = pack.read_bytes()
    pack.chmod(0o600)
    pack.write_bytes(whole[: 1 << 20] + b"damaged" + whole[(1 << 20) + 7 :])
    try:
        answer = shelf.content(b"/large")
    finally:
        pack.write_bytes(whole)
    assert answer.headers["content-length"] == str(len(LARGE))
    assert 0 < len(answer.content) < len(LARGE)
    assert LARGE.startswith(answer.content)


def test_a_folder_of_many_entries_comes_in_pages(shelf: Shelf) -> None:
    nodes = [Node(b"%05d" % number, SYMLINK, mtime=TIME, linktarget=b"x") for number in range(MOST_ENTRIES + 3)]
    tree = shelf.made.tree(*nodes)
    snapshot = shelf.made.repository.save_snapshot(Snapshot(Moment(0), tree, ("/",)))
    first, rest = shelf.page(f"/{snapshot}"), shelf.page(f"/{snapshot}?path=/&start={MOST_ENTRIES}")
    assert f"1 to {MOST_ENTRIES} of 1,003" in first.words
    assert "1001 to 1003 of 1,003" in rest.words and "01002" in rest.words


def test_a_tree_that_takes_too_much_memory_takes_none_of_homes(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process has its bound, says so, and home goes on."""
    node = b'{"name":"%08d","type":"symlink","mode":0,"linktarget":"' + b"x" * 200 + b'"}'
    shelf.made.repository.extra_verify = False
    tree = shelf.made.raw_tree(b'{"nodes":[' + b",".join(node % number for number in range(200_000)) + b"]}\n")
    snapshot = shelf.made.repository.save_snapshot(Snapshot(Moment(0), tree, ("/",)))
    look = process.Browser.look

    def scarce(self: process.Browser, access: Access, task: Task) -> object:
        return look(self, access, task, limits=Limits(nice=0, memory=160 << 20))

    monkeypatch.setattr(process.Browser, "look", scarce)
    answer = shelf.get(f"/{snapshot}")
    assert answer.status_code == 409
    assert "memory" in Markup(answer.text).words
    assert shelf.get().status_code == 200


def test_no_more_look_at_once_than_may_and_who_leaves_takes_the_process_along(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A download that nobody reads any more costs nothing."""
    monkeypatch.setattr(process, "AT_ONCE", 1)
    location = str(shelf.folder / "backups" / shelf.host.id)
    access = Access(location=location, environment={}, password=PASSWORD.decode())

    async def work() -> None:
        browser = process.Browser()
        for _ in range(2):
            async with browser.look(access, Fetch(snapshot=shelf.snapshot, path=b"/large")) as looking:
                child = looking.process
                assert child.returncode is None
                with pytest.raises(process.BusyError):
                    async with browser.look(access, ListSnapshots()):
                        pass
            assert child.returncode == -signal.SIGKILL

    asyncio.run(work())


def test_a_home_without_the_password_says_how_to_look(keeper: support.Home) -> None:
    """With restic on its own machine, from the host, or by a line of its configuration; and nothing is started."""
    host = support.Host(keeper.client, keeper.clock)
    assert host.enroll(keeper.token()).status_code == 200
    headers = {"Cookie": f"{COOKIE}={session(keeper, 'operator')}"}
    answer = keeper.client.get(f"/hosts/{host.id}/backups/snapshots", headers=headers)
    words = Markup(answer.text).words
    assert answer.status_code == 200
    for text in (f"backups/{host.id} snapshots", "hostward backup credentials", "[backups.repositories.web1]"):
        assert text in words
    answer = keeper.client.get(f"/hosts/{host.id}/backups/snapshots/{'0' * 64}", headers=headers)
    assert answer.status_code == 404


def test_a_home_that_keeps_nothing_says_so(home: support.Home, host: support.Host) -> None:
    headers = {"Cookie": f"{COOKIE}={session(home, 'operator')}"}
    answer = home.client.get(f"/hosts/{host.id}/backups/snapshots", headers=headers)
    assert "Home keeps no repositories" in Markup(answer.text).words


def test_a_wrong_password_is_told(shelf: Shelf) -> None:
    (shelf.folder / "password").write_bytes(b"another")
    try:
        answer = shelf.get()
    finally:
        (shelf.folder / "password").write_bytes(PASSWORD)
    assert answer.status_code == 409
    assert "password" in Markup(answer.text).words


def test_a_password_that_home_may_not_use_is_told(shelf: Shelf) -> None:
    """As when others can read its file: in a sentence, whatever is asked for."""
    (shelf.folder / "password").chmod(0o644)
    try:
        answers = [shelf.get(what) for what in ("", f"/{shelf.snapshot}", f"/{shelf.snapshot}/download?path=/large")]
    finally:
        (shelf.folder / "password").chmod(0o600)
    for answer in answers:
        assert answer.status_code == 409
        assert str(shelf.folder / "password") in Markup(answer.text).words


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"a.txt", "attachment; filename=\"a.txt\"; filename*=UTF-8''a.txt"),
        ("größe".encode(), "attachment; filename=\"gr__e\"; filename*=UTF-8''gr%C3%B6%C3%9Fe"),
        (b'x"; filename=y\r\nSet-Cookie: z', None),
        (b"..", "attachment; filename=\"download\"; filename*=UTF-8''download"),
        (b"\xff" * 300, None),
        (b"\\..\\x", None),
    ],
)
def test_a_download_is_called_safely(name: bytes, expected: str | None) -> None:
    """No name ends the header or leads out of the folder that one saves to."""
    found = disposition(name)
    assert expected in (None, found)
    assert found.isascii() and found.isprintable() and found.count('"') == 2 and "\\" not in found
    assert len(found) < 2000
