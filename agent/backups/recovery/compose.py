"""The page out of what is known (pure)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from agent.backups.recovery import sources
from agent.backups.recovery.kit import Home, JobLine, Kit, Place
from agent.backups.recovery.page import Block, Commands, Facts, Heading, Page, Paragraph, WriteHere
from agent.backups.recovery.shell import command
from agent.backups.recovery.tools import HOSTWARD, RESTIC, Tool, picked, repository_of
from kit.units import format_duration, format_size
from wire.report import Drill


def compose(kit: Kit) -> Page:
    """All of it."""
    written = kit.written.strftime("%Y-%m-%d %H:%M %Z").strip()
    subtitle = (
        f"Written on {written} by hostward {kit.version}. There is no password and no key on it: they are where it "
        "says. Keep a print where neither this host nor what takes it down can reach it, and write a new one when "
        "backups change."
    )
    return Page(f"Recovery kit of {kit.host}", subtitle, tuple(_blocks(kit)))


def _blocks(kit: Kit) -> Iterator[Block]:
    yield Heading("First")
    if kit.contacts:
        yield Facts(tuple(("Call" if number == 0 else "", line) for number, line in enumerate(kit.contacts)))
    yield WriteHere("Who holds the passwords, and where they are when this host is gone:")
    if kit.notes:
        yield Paragraph(kit.notes)
    yield Paragraph(
        "1. If somebody broke in: take the host off the network and leave it as it is. Restore on another machine, "
        "from snapshots that are older than the break-in, and change every password and key afterwards."
    )
    yield Paragraph(
        "2. Take a machine with room for all that comes back, install the same distribution, connect it to the "
        "network, set its clock."
    )
    yield Paragraph("3. Install a program that reads the repositories: hostward, or restic 0.14 or later alone.")
    yield Paragraph("4. Fetch password and credentials. Reach the repository, and see that it is the right one (id).")
    yield Paragraph("5. Restore files, then databases, then start what uses them.")
    yield Paragraph("6. Verify. Set up backups again and make the first one at once.")
    yield Heading("How long it took the last time")
    yield from _times(kit)
    yield Heading("The program")
    yield from _program(kit)
    for job in kit.jobs:
        yield from _job(job)
    if kit.home is not None:
        yield from _home(kit, kit.home)
    yield Heading("Afterwards")
    yield Paragraph(
        f"The configuration of backups was in {kit.configuration}, the agent's state in {kit.state}. With the "
        "configuration back, run each job once and see that it is done; try one drill."
    )
    lines = [line for job in kit.jobs for line in HOSTWARD.run("run", job.name)]
    yield Commands((*lines, *HOSTWARD.run("recovery-kit", "--output", "recovery-kit.txt")))


def _times(kit: Kit) -> Iterator[Block]:
    rows = [(drill.name, _measured(drill)) for job in kit.jobs for drill in job.drills]
    if rows:
        yield Facts(tuple(rows))
    else:
        yield Paragraph("No drill has been done on this host, so nobody knows how long a restore takes.")


def _measured(drill: Drill) -> str:
    day = datetime.fromtimestamp(drill.started).astimezone().strftime("%Y-%m-%d")
    if drill.outcome != "done":
        return f"failed on {day}: {drill.message}"
    took = "-" if drill.recovery_time is None else format_duration(drill.recovery_time)
    about = ", estimated from a sample" if drill.estimated else ""
    point = (
        "" if drill.recovery_point is None else f"; what came back was {format_duration(drill.recovery_point)} old"
    )
    return f"{took} until all of {drill.job} is back{about} ({format_size(drill.total_bytes)}), on {day}{point}"


def _program(kit: Kit) -> Iterator[Block]:
    locations = [place.location for job in kit.jobs for place in job.places]
    extras = [scheme for scheme in ("s3", "sftp") if any(each.startswith(scheme + ":") for each in locations)]
    words = f' EXTRAS="{" ".join(extras)}"' if extras else ""
    yield Paragraph("hostward, as root in a checkout of it (Linux, Python 3.11 or later, make):")
    yield Commands((f"make install{words}",))
    yield Paragraph("restic alone, which needs nothing of hostward:")
    yield Commands(("apt-get install restic",))


def _job(job: JobLine) -> Iterator[Block]:
    yield Heading(f"Job {job.name}")
    saved = ", ".join(job.paths) if job.paths else job.source
    yield Facts(
        (
            *((("What it is for", job.description),) if job.description else ()),
            ("Saves", saved),
            ("When", job.schedule or "when somebody runs it by hand"),
        )
    )
    for number, place in enumerate(job.places):
        yield Heading("Repository" if number == 0 else f"Copy {number}", 2)
        yield Facts(tuple(_place(place)))
        if place.password:
            yield WriteHere("Another place where this password is:")
    place = job.places[0]
    for tool in (HOSTWARD, RESTIC):
        yield Heading(f"{tool.title}: {job.name}", 2)
        yield from _commands(job, place, tool)
    for number, copy in enumerate(job.places[1:], 1):
        yield Heading(f"From copy {number}: {job.name}", 2)
        yield Paragraph("The commands are the same, after these in the place of those that name the repository:")
        yield from _credentials(copy)
        yield Commands(tuple(line for tool in (HOSTWARD, RESTIC) for line in tool.connect(copy)))


def _credentials(place: Place) -> Iterator[Block]:
    if place.variables:
        yield Paragraph("The credentials, each behind its =:")
        yield Commands(tuple(f"export {name}=" for name in place.variables))


def _place(place: Place) -> Iterator[tuple[str, str]]:
    yield "Where", f"at home, {place.location}" if place.is_home else place.location
    yield "Id of the repository", place.id or "not known"
    yield "Password", place.password or "asked for; nothing on the host holds it"
    if place.environment:
        yield "Credentials", f"{place.environment}: {', '.join(place.variables) or 'empty'}"
    if place.authorities:
        yield "Trusted authorities", place.authorities
    for fingerprint in place.fingerprints:
        yield "Fingerprint (SHA-256)", fingerprint
    for key in place.keys:
        yield "Key", f"{key.id}, made by {key.user}@{key.host} on {key.created}"
    newest = place.newest
    if newest is not None:
        size = "" if newest.bytes is None else f", {format_size(newest.bytes)}"
        files = "" if newest.files is None else f", {newest.files:,} file{'s' if newest.files != 1 else ''}"
        yield (
            "Newest snapshot",
            f"{newest.id[:16]} of {newest.made.strftime('%Y-%m-%d %H:%M %Z').strip()}{files}{size}",
        )
    if place.trouble:
        yield "When this was written", f"it could not be looked into: {place.trouble}"


def _commands(job: JobLine, place: Place, tool: Tool) -> Iterator[Block]:
    yield from _credentials(place)
    if place.is_home and tool is RESTIC:
        yield Paragraph(
            "On the collector's machine, as root: there the repository has restic's own layout. Its folder is "
            "another where collector.toml names a `place` in [backups]."
        )
    lines = [*tool.connect(place), *tool.run("cat", "config")]
    if place.id:
        yield Paragraph(f"The id that it prints must be {place.id}.")
    yield Commands(tuple(lines))
    newest = place.newest
    if newest is None:
        yield Paragraph("No snapshot was seen when this was written. This lists what is there:")
        yield Commands(tuple(tool.run("snapshots")))
        return
    yield Paragraph("What there is, the newest last. `latest` below is that one; its id stands for any other:")
    yield Commands(tuple(tool.run("snapshots", *picked(newest))))
    yield from sources.steps(job.source, tool, newest)
    yield Paragraph("That the repository is whole is worth knowing, but can wait until all runs again:")
    yield Commands(tuple(tool.run("check", "--read-data-subset", "5%")))


def _home(kit: Kit, home: Home) -> Iterator[Block]:
    yield Heading("Home")
    yield Facts(
        (
            ("Collector", home.collector),
            ("This host there", f"{home.name}, id {home.host}"),
            ("Its certificates", home.ca),
            *(("Fingerprint (SHA-256)", fingerprint) for fingerprint in home.fingerprints),
        )
    )
    at_home = [place for job in kit.jobs for place in job.places if place.is_home]
    if at_home:
        name = repository_of(at_home[0])
        yield Paragraph(
            "A new machine in place of this host: the administrator, as root on the collector's machine, frees the "
            "name and makes a token:"
        )
        yield Commands(
            (*command("hostward-collector", "host", "revoke", home.host), "hostward-collector token create")
        )
        if name == home.host:
            yield Paragraph("In /etc/hostward/collector.toml the new host is given the repository of the old one:")
            yield Commands((f"[backups.repositories.{name}]", f'hosts = ["{home.name}"]'))
            yield Commands(("systemctl restart hostward-collector",))
        else:
            yield Paragraph(
                f"The table [backups.repositories.{name}] in /etc/hostward/collector.toml gives the repository to "
                f"those under `hosts`: {home.name} must be among them."
            )
        yield Paragraph("Then, on the new machine, with the collector's ca.pem, whose fingerprint is above:")
        words = ("--collector", home.collector, "--ca", "ca.pem", "--name", home.name, "--token-file", "-")
        yield Commands(tuple(command("hostward", "enroll", *words)))
