"""`hostward enroll`: make this host known to a collector."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import ssl
import sys
import time
from contextlib import closing
from pathlib import Path

import msgspec

from agent.config.load import load
from agent.facts import facts
from agent.home import identity
from agent.paths import System, configuration_file, state_folder
from kit.commands import Command
from kit.errors import HostwardError, UsageError
from kit.terminal import clean
from kit.version import __version__
from wire import codec, fit, limits, protocol
from wire.report import Enrolled, Enrolment, Problem

TIMEOUT = 15.0
"""Seconds that home may take to answer, all of it."""


class EnrolmentError(HostwardError):
    """Home was not reached, or did not take this host."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("--collector", required=True, metavar="URL", help="where home is: https://HOST[:PORT]")
    token = parser.add_mutually_exclusive_group(required=True)
    token.add_argument("--token", help="the one-time token; visible to other users while the command runs")
    token.add_argument("--token-file", metavar="FILE", help="a file that holds the token; - for standard input")
    parser.add_argument(
        "--ca", required=True, type=Path, metavar="FILE", help="the collector's ca.pem; no other CA is trusted"
    )
    parser.add_argument("--name", help="the name to show at home, instead of the host's own")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Enroll this host, or say that it is enrolled already."""
    collector = identity.collector_url(options.collector)
    folder = state_folder(options.state_dir)
    known = identity.load(folder)
    if known is not None:
        if known.collector != collector:
            raise EnrolmentError(
                f"this host is enrolled at {known.collector} as {known.name}; "
                f"to move it, remove {folder / identity.IDENTITY} and enroll it again"
            )
        _tell(options, known.collector, known.host, known.name, already=True)
        return 0
    token = _read_token(options)
    ca = _read_ca(options.ca)
    name = _name(options)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = identity.prepare_key(folder)
    except OSError as error:
        raise EnrolmentError(
            f"the state folder {folder} cannot be written to: {error.strerror}; "
            "run as root or as the agent's user, or choose another with --state-dir DIR"
        ) from error
    enrolled = _ask(collector, options.ca, key, token=token, name=name)
    try:
        identity.save(folder, collector=collector, host=enrolled.host, name=enrolled.name, ca=ca)
    except OSError as error:
        raise EnrolmentError(
            f"the collector took this host, but {folder} cannot be written to: {error.strerror}; "
            "make room and run the same command again, with the same token"
        ) from error
    _tell(options, collector, enrolled.host, enrolled.name, already=False)
    return 0


def _ask(collector: str, ca: Path, key: bytes, *, token: str, name: str) -> Enrolled:
    """Home's answer. Raises EnrolmentError."""
    # TLS and libsodium; bad usage is told without them.
    from agent.home.transport import Transport, TransportError
    from wire import signature

    private = signature.load_private_key(key)
    public = signature.public_text(private)
    body = msgspec.json.encode(
        Enrolment(token=token, name=name, public_key=public, agent=__version__, facts=fit.facts(facts(System())))
    )

    def signed(now: float) -> dict[str, str]:
        nonce = secrets.token_urlsafe(18)
        return signature.sign(
            private, "POST", protocol.ENROLL, body, created=max(0, round(now)), nonce=nonce, key_id=public
        )

    try:
        with closing(Transport(collector, ca, timeout=TIMEOUT)) as transport:
            headers = {"Content-Type": protocol.JSON_TYPE}
            answer = transport.post(protocol.ENROLL, body, headers | signed(time.time()))
            problem = _problem(answer.body)
            if problem is not None and problem.code == "clock_skew" and problem.time is not None:
                # A clock that is wrong here does not matter for a report either: the signature goes by home's.
                answer = transport.post(protocol.ENROLL, body, headers | signed(problem.time))
                problem = _problem(answer.body)
    except TransportError as error:
        raise EnrolmentError(str(error)) from error
    if problem is not None and answer.status >= 400:
        said = clean(problem.message)[: limits.MAX_MESSAGE]
        raise EnrolmentError(f"the collector refuses ({clean(problem.code)}): {said}")
    try:
        if answer.status == 200:
            return codec.decode_enrolled(answer.body)
    except ValueError:
        pass
    raise EnrolmentError(f"what answered {answer.status} at {collector} is not a collector")


def _problem(answer: bytes) -> Problem | None:
    try:
        return codec.decode_refusal(answer).error
    except ValueError:
        return None


def _name(options: argparse.Namespace) -> str:
    given = options.name
    if given is not None and (not given.strip() or not given.isprintable() or len(given) > limits.MAX_TITLE):
        raise UsageError(f"--name takes 1 to {limits.MAX_TITLE} characters that can be shown")
    file, named = configuration_file(options.config)
    return fit.title(given or load(file, must_exist=named).agent.name or os.uname().nodename)


def _tell(options: argparse.Namespace, collector: str, host: str, name: str, *, already: bool) -> None:
    if options.json:
        print(json.dumps({"collector": collector, "host": host, "name": name, "already": already}))
    elif already:
        print(f"this host is enrolled already: {collector} knows it as {clean(name)}")
    else:
        print(f"enrolled: {collector} knows this host as {clean(name)}; the agent, once it runs, reports there")


def _read_token(options: argparse.Namespace) -> str:
    source = options.token_file
    if source is None:
        text, where = str(options.token), "--token"
    elif source == "-":
        text, where = sys.stdin.read(4096), "standard input"
    else:
        where = str(source)
        try:
            with Path(where).open(encoding="utf-8", errors="replace") as file:
                text = file.read(4096)
        except OSError as error:
            raise UsageError(f"the token file {where} cannot be read: {error.strerror}") from error
    token = text.strip()
    if not token or len(token) > limits.MAX_TOKEN or not (token.isascii() and token.isprintable()) or " " in token:
        raise UsageError(
            f"{where} holds no token: expected the one word that `hostward-collector token create` prints"
        )
    return token


def _read_ca(path: Path) -> bytes:
    try:
        ca = path.read_bytes()
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=ca.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise UsageError(f"the CA file {path} holds no certificate: expected the collector's ca.pem") from None
    except OSError as error:
        raise UsageError(f"the CA file {path} cannot be read: {error.strerror}") from error
    return ca


ENROLL = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward enroll --collector https://home.example:8443 --ca ca.pem --token-file token.txt
  hostward-collector token create --data-dir DIR | hostward enroll --collector https://localhost:8443 \\
      --ca DIR/ca.pem --token-file -""",
    notes="""\
Anyone on this host can see the options of a running command, so a token is better given in a file
or on standard input; it is good for one host and expires.

Doing it again for the same collector changes nothing. exit codes: 0 enrolled, 1 refused or not
reachable, 2 bad usage.""",
)
