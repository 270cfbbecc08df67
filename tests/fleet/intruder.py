"""Who has root on a host, and means its backups: tries all that the host's own credential lets it ask of home.

It has the standard library and Debian's Python. `python intruder.py`: the variables of `hostward backup credentials`
are in its environment. It prints what each kind of attempt was answered, as JSON.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import ssl
import urllib.error
import urllib.request

URL = os.environ["RESTIC_REPOSITORY"].removeprefix("rest:")
ACCOUNT = f"{os.environ['RESTIC_REST_USERNAME']}:{os.environ['RESTIC_REST_PASSWORD']}"
TRUST = ssl.create_default_context(cafile=os.environ["RESTIC_CACERT"])
KINDS = ("keys", "snapshots", "index", "data", "locks")


def ask(method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Status and body of home's answer."""
    request = urllib.request.Request(URL + path, body, method=method)
    request.add_header("Authorization", "Basic " + base64.b64encode(ACCOUNT.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=30, context=TRUST) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def main() -> None:
    """Remove, replace, and reach for what is not the host's."""
    answers: dict[str, list[int]] = {}

    def note(what: str, method: str, path: str, body: bytes | None = None) -> None:
        answers.setdefault(what, []).append(ask(method, path, body)[0])

    for kind in KINDS:
        for name in json.loads(ask("GET", f"{kind}/")[1]) or []:
            note(f"remove {kind}", "DELETE", f"{kind}/{name}")
            note(f"replace {kind}", "POST", f"{kind}/{name}", b"nothing")
            note(f"empty {kind}", "POST", f"{kind}/{name}", b"")
    note("remove config", "DELETE", "config")
    note("replace config", "POST", "config", b"nothing")
    note("remove all", "DELETE", "")
    for path in ("../", "..%2f..%2fhostward.db", "data/../config", "%2e%2e/%2e%2e/ca.key", "keys/..%2fconfig"):
        note("reach out", "DELETE", path)
        note("reach out", "POST", path, b"nothing")
    junk = os.urandom(4096)
    note("add", "POST", f"data/{hashlib.sha256(junk).hexdigest()}", junk)
    note("add under a wrong name", "POST", f"snapshots/{hashlib.sha256(b'other').hexdigest()}", junk)
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
