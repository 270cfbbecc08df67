"""What opens the repository of a host at home: where it is, and its password where home has one."""

from __future__ import annotations

from dataclasses import dataclass

from collector.backups.keeping.messages import Access
from collector.backups.service import Backups
from collector.backups.settings import Place, options_named
from kit.credentials import read_secret
from kit.errors import HostwardError


@dataclass(frozen=True, slots=True)
class Opening:
    """The repository of a host."""

    host: str
    host_name: str
    place: Place | None
    """None where home keeps no repositories."""
    location: str
    """As `restic -r` takes it on home's own machine; '' where there is none."""
    access: Access | None
    """None where home has no password."""
    problem: str = ""
    """Why home cannot use the password that it should have."""


def opening(backups: Backups | None, host: str, host_name: str) -> Opening:
    """How to open the repository of the host of this id and name."""
    if backups is None:
        return Opening(host, host_name, None, "", None)
    place = backups.place_of(host, host_name)
    location = backups.places.location(place.repository)
    named = options_named(backups.places.options, place.repository, "" if place.shared else host_name)
    if named.password_file is None:
        return Opening(host, host_name, place, location, None)
    try:
        password = read_secret(named.password_file)
    except HostwardError as error:
        return Opening(host, host_name, place, location, None, str(error))
    access = Access(location=location, environment=backups.places.environment, password=password)
    return Opening(host, host_name, place, location, access)
