"""The page for the worst day, as text and as PDF."""

from __future__ import annotations

import shlex
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.backups.recovery import pdf, text
from agent.backups.recovery.certificates import fingerprints
from agent.backups.recovery.compose import compose
from agent.backups.recovery.kit import Home, JobLine, KeyLine, Kit, Place, SnapshotLine
from agent.backups.recovery.page import Commands, Page
from agent.backups.recovery.shell import WIDTH, command
from tests.require import require_program
from wire.report import Drill

NOW = datetime(2026, 11, 22, 18, 30, tzinfo=UTC)
ID = "0123456789abcdef" * 4


def place(**fields: object) -> Place:
    newest = SnapshotLine(id="ab" * 32, made=NOW, host="web-1", job="shop", files=10, bytes=1000, dumps=DUMPS)
    facts = {
        "location": "/srv/backup",
        "is_home": False,
        "password": "the file /etc/hostward/backup.password",
        "environment": "",
        "variables": (),
        "authorities": "",
        "fingerprints": (),
        "id": ID,
        "keys": (KeyLine("cd" * 32, "root", "web-1", "2026-01-02"),),
        "newest": newest,
    }
    return Place(**{**facts, **fields})  # type: ignore[arg-type]


DUMPS = ("/postgresql/globals.sql", "/postgresql/shop of Jörg.dump")


def kit(*places: Place, source: str = "files", host: str = "web-1", home: Home | None = None) -> Kit:
    drill = Drill(
        name="shop-all",
        job="shop",
        kind="full",
        repository="/srv/backup",
        started=NOW.timestamp(),
        finished=NOW.timestamp() + 60,
        outcome="done",
        total_bytes=10**9,
        recovery_time=754.0,
        recovery_point=60.0,
    )
    job = JobLine(
        name="shop",
        description="the shop",
        source=source,
        paths=("/srv/shop",) if source == "files" else (),
        schedule="daily 02:00",
        places=places or (place(),),
        drills=(drill,),
    )
    return Kit(
        host=host,
        written=NOW,
        version="1.2.3",
        configuration="/etc/hostward/agent.toml",
        state="/var/lib/hostward",
        contacts=("On call: Jörg Müller",),
        notes="Envelope 3.",
        home=home,
        jobs=(job,),
    )


def commands(page: Page) -> list[list[str]]:
    """Each command, as a shell reads it."""
    lines = "\n".join(line for block in page.blocks if isinstance(block, Commands) for line in block.lines)
    return [shlex.split(line) for line in lines.replace("\\\n", " ").splitlines()]


def test_the_page_says_where_what_and_how_long() -> None:
    """In the order in which it is needed."""
    said = text.render(compose(kit()))
    marks = [
        "Recovery kit of web-1",
        "Jörg Müller",
        "Envelope 3.",
        "12m34s until all of shop is back",
        "make install",
    ]
    marks += ["Job shop", "/srv/backup", ID, "the file /etc/hostward/backup.password", "cd" * 32, "abab"]
    marks += ["hostward backup restore", "restic restore", "Afterwards"]
    places = [said.index(mark) for mark in marks]
    assert places == sorted(places)
    assert all(len(line) <= WIDTH + 4 for line in said.splitlines())


def test_both_programs_are_told_the_same() -> None:
    """restic takes the words of ours."""
    found = commands(compose(kit()))
    ours = [
        words[2:]
        for words in found
        if words[:2] == ["hostward", "backup"] and words[2] not in ("run", "recovery-kit")
    ]
    theirs = [words[1:] for words in found if words[0] == "restic"]
    assert ours == theirs != []
    assert ["restore", "latest", "--target", "/mnt/restored", "--verify", "--host=web-1", "--tag=job:shop"] in ours


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("postgresql", ["|", "runuser", "-u", "postgres", "--", "pg_restore", "--create", "--dbname=postgres"]),
        ("mysql", ["latest", "/postgresql/shop of Jörg.dump", "|", "mysql"]),
        ("redis", ["/dev/stdin", "/var/lib/redis/dump.rdb"]),
    ],
)
def test_databases_are_brought_back_by_their_own_tools(source: str, expected: list[str]) -> None:
    """Roles and accounts first."""
    found = [words for words in commands(compose(kit(source=source))) if "dump" in words]
    assert any(words[-len(expected) :] == expected for words in found)
    if source == "postgresql":
        assert "/postgresql/globals.sql" in found[0]


def test_a_continuous_archive_is_brought_back_as_one() -> None:
    """By one command of ours, from the base backup's job; piece by piece by restic."""
    found = commands(compose(kit(source="postgresql_base")))
    assert [
        "hostward",
        "backup",
        "restore-postgresql",
        "--host=web-1",
        "--target",
        "/var/lib/postgresql/restored",
    ] in found
    said = text.render(compose(kit(source="postgresql_wal")))
    assert "by the commands of that job" in said
    assert 'restic restore "$snapshot" --target /mnt/restored' in said


def test_a_repository_that_could_not_be_seen_is_still_on_the_page() -> None:
    """With the reason, and with what the configuration says."""
    unseen = place(
        id="",
        keys=(),
        newest=None,
        trouble="it does not answer",
        location="s3:https://s3.example.com/bucket",
        environment="/etc/hostward/s3.environment",
        variables=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    )
    said = text.render(compose(kit(unseen)))
    assert "it does not answer" in said
    assert 'make install EXTRAS="s3"' in said
    assert "export AWS_SECRET_ACCESS_KEY=\n" in said
    assert "hostward backup snapshots\n" in said


def test_a_repository_at_home_is_reached_by_both_ways() -> None:
    """By a new machine that takes the host's place, and on home's own with restic alone."""
    home = Home(
        "https://home.example.com:8443", "0123456789abcdef", "web-1", "/var/lib/hostward/home-ca.pem", ("AA:BB",)
    )
    there = place(is_home=True, location="rest:https://home.example.com:8443/backup/0123456789abcdef/")
    page = compose(kit(there, home=home))
    said, found = text.render(page), commands(page)
    assert ["export", "HOSTWARD_REPOSITORY=home"] in found
    assert ["export", "RESTIC_REPOSITORY=/var/lib/hostward-collector/backups/0123456789abcdef"] in found
    assert any(words[:2] == ["hostward", "enroll"] for words in found)
    assert "AA:BB" in said
    assert "[backups.repositories.0123456789abcdef]" in said
    assert "hostward-collector host revoke 0123456789abcdef" in said


def test_a_copy_is_reached_where_the_repository_itself_is_gone() -> None:
    """By both programs, with credentials of its own."""
    bucket = "s3:https://s3.example.com/bucket"
    copy = place(location=bucket, variables=("AWS_ACCESS_KEY_ID",), authorities="/etc/ca.pem")
    page = compose(kit(place(), copy))
    found = commands(page)
    for prefix in ("HOSTWARD", "RESTIC"):
        words = ["export", f"{prefix}_REPOSITORY=s3:https://s3.example.com/bucket", f"{prefix}_CACERT=/etc/ca.pem"]
        assert words in found
    assert ["export", "AWS_ACCESS_KEY_ID="] in found
    assert "From copy 1: shop" in text.render(page)


def test_long_commands_go_on_in_the_next_line() -> None:
    """And a shell reads them as one, whatever stands in them."""
    words = ("echo", *(f"a long word {number}'s end" for number in range(12)))
    lines = command(*words)
    assert len(lines) > 2
    assert all(len(line) <= WIDTH for line in lines)
    done = subprocess.run(["sh", "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert done.stdout == " ".join(words[1:]) + "\n"


def test_the_pdf_has_all_of_it_in_any_script(tmp_path: Path) -> None:
    """Read back by another program: Cyrillic and Greek as they are."""
    host = "Сервер-Ωmega"
    data, missing = pdf.render(compose(kit(host=host)))
    assert (missing, data[:5]) == ("", b"%PDF-")
    said = read(data, tmp_path)
    for words in (
        "Recovery kit of",
        host,
        "Jörg Müller",
        ID,
        "--tag=job:shop",
        "Another place where this password is",
    ):
        assert words in said
    assert "2/2" in said.replace(" ", "")


def test_what_no_font_has_stands_as_its_number(tmp_path: Path) -> None:
    """Also on a host without any fonts: nothing is left out, and nothing is a box."""
    page = compose(kit(host="Сервер 契約"))
    data, missing = pdf.render(page, fonts=(tmp_path,))
    assert missing == "".join(sorted(set("Сервер契約")))
    said = read(data, tmp_path)
    assert "<U+5951><U+7D04>" in said.replace("\n", "")
    assert "Jörg" in said


def read(data: bytes, folder: Path) -> str:
    """What stands in a PDF, by poppler."""
    file = folder / "kit.pdf"
    file.write_bytes(data)
    words = [str(require_program("pdftotext")), "-layout", str(file), "-"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_fingerprints_are_those_that_openssl_prints(tmp_path: Path) -> None:
    """Of each certificate in the file."""
    openssl, file = require_program("openssl"), tmp_path / "ca.pem"
    words = [openssl, "req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", tmp_path / "key", "-out", file]
    subprocess.run([*words, "-subj", "/CN=home"], check=True, capture_output=True)
    shown = subprocess.run(
        [openssl, "x509", "-in", file, "-noout", "-fingerprint", "-sha256"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert fingerprints(file) == (shown.stdout.strip().partition("=")[2],)
    file.write_text(file.read_text() * 2)
    assert len(fingerprints(file)) == 2
