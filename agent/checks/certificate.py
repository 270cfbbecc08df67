"""TLS certificates, of an endpoint or in files: how long they last, and whether a client would take them.

What needs `cryptography` is in certificate_files.py and certificate_endpoint.py, which only the child imports that
looks; here are the options and what to make of what was found.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from agent.checks.contract import Check, CheckOptions, Context, Every, Finding, Floor, Measurement, Rule, Sample
from kit.units import Duration

DAY = 86400


class CertificateOptions(CheckOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Certificates of an endpoint (`host`) or in `files`: one of the two."""

    every: Every = Duration(3600)
    host: Annotated[
        str, msgspec.Meta(description="Name or address of the server to ask.", examples=["shop.example.com"])
    ] = ""
    port: Annotated[int, msgspec.Meta(description="Its port.", ge=1, le=65535, examples=[25])] = 443
    starttls: Annotated[
        Literal["", "ftp", "imap", "ldap", "pop3", "postgresql", "smtp"],
        msgspec.Meta(
            description="The protocol in which to ask for TLS first; empty where the port speaks TLS from the start.",
            examples=["smtp"],
        ),
    ] = ""
    server_name: Annotated[
        str,
        msgspec.Meta(
            description="The name to ask for, which the certificate must hold; empty for `host`.",
            examples=["www.example.com"],
        ),
    ] = ""
    files: Annotated[
        tuple[Annotated[str, msgspec.Meta(pattern=r"\A/", extra={"words": "the full path of a file"})], ...],
        msgspec.Meta(
            description="Files of certificates, PEM or DER (*, ?, [] and ** as in file names). Each may hold a "
            "chain: the server's certificate first, then those that vouch for it.",
            examples=[["/etc/letsencrypt/live/*/fullchain.pem"]],
        ),
    ] = ()
    ca_file: Annotated[
        str,
        msgspec.Meta(
            description="The authorities to trust, PEM; empty for those of the system.",
            examples=["/etc/ssl/example-ca.pem"],
        ),
    ] = ""
    verify: Annotated[
        bool,
        msgspec.Meta(
            description="Whether a trusted authority must vouch for the chain. Files are verified only where "
            "`ca_file` says against what.",
            examples=[False],
        ),
    ] = True
    days: Annotated[
        Floor, msgspec.Meta(description="Bounds of the days that are left of each certificate in the chain.")
    ] = Floor(warning=30, critical=7)

    def __post_init__(self) -> None:
        if bool(self.host) == bool(self.files):
            raise ValueError("needs either host or files")
        if self.files and (self.starttls or self.server_name):
            raise ValueError("starttls and server_name are for a host, not for files")

    @property
    def expected_name(self) -> str:
        """The name or address that the certificate of an endpoint must hold."""
        return self.server_name or self.host


@dataclass(frozen=True, slots=True)
class Certificate:
    """Of a certificate, what there is to say. Times are in seconds since the epoch."""

    subject: str
    """The common name, else the first name that it holds, else the whole distinguished name."""
    not_before: float
    not_after: float
    names: frozenset[str] = frozenset()
    """The DNS names and addresses that it is for, in small letters."""
    weaknesses: tuple[str, ...] = ()
    """What is too weak in it: `is signed with sha1`, `has an RSA key of 1024 bits`."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Certificates that belong together, that of the server first."""

    place: str
    """`host:port`, or the file."""
    certificates: Sequence[Certificate] = ()
    distrust: str = ""
    """Why no trusted authority vouches for it; empty where one does, or where nobody asked."""
    verified: bool = False
    """Whether it was looked at at all."""
    unreachable: str = ""
    """Why there are no certificates."""


class CertificateCheck(Check[CertificateOptions]):
    """Certificates that must not run out."""

    Options = CertificateOptions
    runs = "job"

    def rules(self) -> list[Rule]:
        """The days that are left."""
        return [Rule("certificate_expiry_days", self.options.days, "{subject} at {place} has {value} left")]

    def collect(self, context: Context) -> Sample:
        """Look at the endpoint, or at the files."""
        # cryptography takes 8 MB: only the child that looks at certificates pays for it.
        if self.options.host:
            from agent.checks.certificate_endpoint import look

            return judge_chains([look(self.options)], self.options.expected_name, context.now)
        from agent.checks.certificate_files import look_through

        chains, findings = look_through(self.options, context.system)
        judged = judge_chains(chains, "", context.now)
        return Sample(judged.measurements, [*findings, *judged.findings], judged.summary)


def judge_chains(chains: Sequence[Chain], name: str, now: float) -> Sample:
    """Readings and findings of all chains; `name` is what the first certificate of each must hold, if any."""
    measurements: list[Measurement] = []
    findings: list[Finding] = []
    shortest: tuple[float, str] | None = None
    for chain in chains:
        place = {"place": chain.place}
        if chain.unreachable:
            findings.append(Finding("critical", f"{chain.place}: {chain.unreachable}"))
            continue
        if chain.verified:
            measurements.append(Measurement("certificate_trusted", float(not chain.distrust), labels=place))
        if chain.distrust:
            findings.append(Finding("critical", f"{chain.place} is not to be trusted: {chain.distrust}"))
        if name and chain.certificates and not is_for(chain.certificates[0], name):
            held = ", ".join(sorted(chain.certificates[0].names)[:5]) or "no name"
            findings.append(Finding("critical", f"the certificate at {chain.place} is for {held}, not for {name}"))
        # A chain may hold a subject twice, cross-signed; the one that ends first counts.
        for certificate in sorted(chain.certificates, key=lambda one: one.not_after):
            days = (certificate.not_after - now) / DAY
            labels = {"place": chain.place, "subject": certificate.subject}
            measurements += [
                Measurement("certificate_expiry_days", days, "days", labels),
                Measurement("certificate_not_after_timestamp_seconds", certificate.not_after, "", labels),
            ]
            findings += _of_one(certificate, chain.place, now)
            shortest = min(shortest or (days, certificate.subject), (days, certificate.subject))
    summary = "there are no certificates"
    if shortest:
        summary = f"{shortest[1]} has {shortest[0]:.0f} days left"
        count = sum(len(chain.certificates) for chain in chains)
        summary += f", the least of {count} certificates" if count > 1 else ""
    return Sample(measurements, findings, summary)


def _of_one(certificate: Certificate, place: str, now: float) -> list[Finding]:
    """What the days that are left do not tell."""
    findings = [Finding("warning", f"{certificate.subject} at {place} {what}") for what in certificate.weaknesses]
    if certificate.not_after <= now:
        findings.append(
            Finding("critical", f"{certificate.subject} at {place} expired {_day(certificate.not_after)}")
        )
    elif certificate.not_before > now:
        until = _day(certificate.not_before)
        findings.append(Finding("critical", f"{certificate.subject} at {place} is not valid before {until}"))
    return findings


def is_for(certificate: Certificate, name: str) -> bool:
    """Whether it holds the name or address: exactly, or by a `*` as the whole leftmost label (RFC 9525, section 6.3).

    The common name does not count, as it does not for today's clients.
    """
    try:
        return str(ipaddress.ip_address(name)) in certificate.names
    except ValueError:
        wanted = name.lower().rstrip(".")
    first, _, rest = wanted.partition(".")
    return wanted in certificate.names or (bool(first and rest) and f"*.{rest}" in certificate.names)


def _day(time: float) -> str:
    return datetime.datetime.fromtimestamp(time, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
