"""Bytes that were sent once are read for ever: the files in `golden/` never change, a new version adds its own."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.wire.reports import BACKUPS, FULL, LOGS, PACKAGES, SMALL
from wire import codec
from wire.report import VERSION, Report

GOLDEN = Path(__file__).parent / "golden"
CASES = {
    "v1-full": FULL,
    "v1-logs": LOGS,
    "v1-backups": BACKUPS,
    "v1-packages": PACKAGES,
    "v1-small": SMALL,
    "v1-unknown-fields": FULL,
}
DIGESTS = {
    "v1-backups": "9a2cb3c629c047adca2aa8389205355f9c7f4d08a3004a345c54ba06bbb7e0f4",
    "v1-full": "9d5951a7ee4d1d29bdc960247f02d2fac869766417465f99db70824e94c37de7",
    "v1-logs": "be4547514f1b8f20bf8120e01b2b6b6c8fd207732b76a79b3c145be5f59fe58d",
    "v1-packages": "430b2c287054586450df76b5cd7b26434622ae79434f241aa40747b1a1e16a62",
    "v1-small": "4a388138e0db733ba445e5623dd7dc782ef0d041ebf8f151f1edf178aa546930",
    "v1-unknown-fields": "4ece33a6a986b97191fb3719f74d4b9c2ac2fd4c0e5d29b2ed694c443191eb4b",
}


@pytest.mark.parametrize("name", CASES)
def test_old_bytes_are_the_same_report_for_ever(name: str) -> None:
    """What a sender of that version put on the wire still says what it said."""
    body = (GOLDEN / f"{name}.json.zst").read_bytes()
    assert codec.decompress(body) == (GOLDEN / f"{name}.json").read_bytes()
    assert codec.decode(body) == CASES[name]


@pytest.mark.parametrize("name", CASES)
def test_a_golden_file_never_changes(name: str) -> None:
    """Who changes the format adds a file; these were sent by hosts that are still out there."""
    assert hashlib.sha256((GOLDEN / f"{name}.json.zst").read_bytes()).hexdigest() == DIGESTS[name]


def test_every_version_has_golden_files_and_every_file_is_tested() -> None:
    names = {path.name.removesuffix(".json") for path in GOLDEN.glob("*.json")}
    assert names == set(CASES)
    assert {f"v{version}" for version in range(1, VERSION + 1)} == {name.split("-")[0] for name in names}


def test_the_full_report_uses_every_field_there_is() -> None:
    """A field that is added later without a golden file of its own is noticed here."""
    (day,) = LOGS.logs
    assert day.access is not None
    packages = PACKAGES.packages
    assert packages is not None
    parts = (FULL.checks[0], FULL.readings[0], FULL.jobs[0], FULL.events[1], FULL.gaps[0])
    logs = (day, day.logins[0], day.access)
    run = BACKUPS.backups[0]
    backups = (run, run.copies[0], BACKUPS.drills[0])
    whole = replace(LOGS, backups=BACKUPS.backups, drills=BACKUPS.drills, packages=packages)
    for part in (whole, *parts, *logs, *backups, packages, packages.installed[1]):
        for name, default in zip(part.__struct_fields__[::-1], part.__struct_defaults__[::-1], strict=False):
            if (type(part), name) != (Report, "version"):
                assert getattr(part, name) != default, f"{type(part).__name__}.{name}"
