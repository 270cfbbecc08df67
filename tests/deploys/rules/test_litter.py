"""What of a host can go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deploys.facts.litter import Litter, parse_litter
from deploys.rules.litter import JournalFile, Package, old_kernels, too_much_journal, unused_images

RELEASES = st.lists(
    st.builds(
        "6.{}.0-{}-{}".format, st.integers(0, 12), st.integers(1, 30), st.sampled_from(["amd64", "cloud-amd64"])
    ),
    unique=True,
)


def names(*releases: str, running: str = "", keep: int = 2) -> list[str]:
    installed = [Package(f"linux-{part}-{one}", 1) for one in releases for part in ("image", "headers")]
    return [package.name for package in old_kernels(installed, running, keep)]


def test_the_newest_and_the_running_kernel_stay() -> None:
    """By number and not by letter, for each flavour, and their headers go with those that go."""
    old = "6.1.0-9-amd64", "6.1.0-18-amd64", "6.1.0-20-amd64", "6.1.0-3-rt-amd64"
    assert names(*old, keep=1) == [
        "linux-headers-6.1.0-18-amd64",
        "linux-headers-6.1.0-9-amd64",
        "linux-image-6.1.0-18-amd64",
        "linux-image-6.1.0-9-amd64",
    ]
    assert names(*old, running="6.1.0-9-amd64") == []
    assert old_kernels([Package("linux-headers-5.1.0-1-amd64", 1), Package("linux-image-amd64", 1)], "", 1) == []


@given(RELEASES, st.integers(1, 3), st.data())
def test_no_host_is_left_without_a_kernel(releases: list[str], keep: int, data: st.DataObject) -> None:
    """Whatever is installed and runs."""
    running = data.draw(st.sampled_from([*releases, "5.0"]))
    gone = {name.removeprefix("linux-image-") for name in names(*releases, running=running, keep=keep)}
    left = set(releases) - gone
    assert running not in gone
    assert not releases or len(left) >= min(keep, len(releases))


def archived(second: int, size: int, folder: str = "/j") -> JournalFile:
    return JournalFile(f"{folder}/system@{'a' * 32}-{'0' * 16}-{second * 1_000_000:016x}.journal", size)


def test_of_the_journal_the_oldest_go() -> None:
    """By age, by size, each folder by itself, and never what is written to."""
    files = [
        archived(30, 5),
        archived(10, 5),
        archived(20, 5),
        JournalFile("/j/system.journal", 900),
        archived(5, 1, "/k"),
    ]
    assert too_much_journal(files, now=40, max_age=None, max_size=None) == []
    assert too_much_journal(files, now=40, max_age=15, max_size=None) == [files[1], files[2], files[4]]
    assert too_much_journal(files, now=40, max_age=None, max_size=10) == [files[1]]
    disposed = JournalFile(f"/j/user-1@{1_000_000:016x}-{'b' * 16}.journal~", 7)
    assert too_much_journal([disposed], now=40, max_age=15, max_size=None) == [disposed]


def test_images_that_containers_use_stay() -> None:
    """They have no name any more, and are needed."""
    assert unused_images([("a", 1), ("b", 2)], ["b", "c"]) == [("a", 1)]


@given(st.lists(st.text()))
def test_any_output_is_read(lines: list[str]) -> None:
    """It is a host's."""
    assert isinstance(parse_litter(lines), Litter)


def test_what_hosts_say_is_read() -> None:
    """Packages that are removed but for their configuration are not installed."""
    found = parse_litter(
        [
            "time 5",
            "cache apt 3",
            "cache apt 4",
            "package rc linux-image-1 9",
            "package ii linux-image-2 9",
            "journal 8 /a b",
        ]
    )
    assert (found.time, found.caches, found.packages) == (5.0, {"apt": 7}, [Package("linux-image-2", 9 * 1024)])
