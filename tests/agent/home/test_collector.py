"""Against the real collector: enrolled, reported, refused, and every report there once."""

from __future__ import annotations

import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from agent.cli.dispatch import dispatch
from agent.home import identity, status
from agent.home.reporter import Reporter
from agent.home.sender import Sender
from agent.home.spool import Spool
from agent.state import State, StoredCheck
from wire.report import CheckState, Reading

RUN = "import sys; from collector.cli import main; sys.exit(main())"


def collector(*words: str) -> str:
    """Run one command of hostward-collector; what it prints."""
    done = subprocess.run([sys.executable, "-c", RUN, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def serving(data: Path, port: str = "0") -> Iterator[str]:
    """A collector that runs; where it is."""
    words = ["serve", "--data-dir", str(data), "--host", "127.0.0.1", "--port", port]
    with subprocess.Popen([sys.executable, "-c", RUN, *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = next((found[0] for line in process.stdout if (found := re.search(r"https://\S+", line))), None)
            assert url is not None
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def test_the_real_collector_gets_every_report_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also those made while it was away; and after a revocation nothing is lost but time."""
    data, folder = tmp_path / "home", tmp_path / "state"
    collector("init", "--data-dir", str(data))
    token = tmp_path / "token"
    token.write_text(collector("token", "create", "--data-dir", str(data)))
    bearer = collector("api-token", "create", "--data-dir", str(data)).split()[-1]
    with serving(data) as url:
        words = ["--collector", url, "--ca", str(data / "ca.pem"), "--token-file", str(token)]
        assert dispatch(["enroll", *words, "--state-dir", str(folder), "--name", "web 1"]) == 0
        assert "knows this host as web 1" in capsys.readouterr().out
    me = identity.load(folder)
    assert me is not None
    with closing(State.open(folder)) as state:
        spool = Spool(state)
        reporter = Reporter(state, spool, host=me.host, boot="boot-1")
        sender = Sender(state, me, timeout=10, uniform=lambda low, high: 0.05)

        def report(value: float) -> None:
            now = time.time()
            check = CheckState(name="cpu", kind="cpu", state="warning", message="busy", since=now, time=now)
            with state.transaction():
                state.save_check(StoredCheck(check, b"", "boot-1"))
                state.enqueue([Reading("cpu", "cpu_used_percent", value, "percent", {}, now - 30 + value)])
            reporter.compose(facts={"os": "test"}, interval=15, now=now, max_size=1 << 20, max_age=1e9)
            sender.wake()

        def until_empty() -> None:
            end = time.monotonic() + 60
            while spool.waiting().reports:
                assert time.monotonic() < end, status.load(state)
                time.sleep(0.02)

        sender.start()
        for value in range(10):
            report(value)
        assert spool.waiting().reports == 10, "the collector is away"
        with serving(data, url.rsplit(":", 1)[1]) as url:
            for value in range(10, 20):
                report(value)
            until_empty()
            trust = ssl.create_default_context(cafile=data / "ca.pem")
            with httpx.Client(verify=trust, headers={"Authorization": f"Bearer {bearer}"}) as client:
                (host,) = client.get(f"{url}/api/v1/hosts").json()["hosts"]
                found = client.get(f"{url}/api/v1/hosts/{host['id']}/readings", params={"name": "cpu_used_percent"})
            assert (host["name"], host["state"]) == ("web 1", "warning")
            (series,) = found.json()["series"]
            # None is a hole: this machine may be too slow to measure each second.
            assert [value for value in series["values"] if value is not None] == [float(value) for value in range(20)]
            collector("host", "revoke", "web 1", "--data-dir", str(data))
            report(20)
            end = time.monotonic() + 30
            while status.load(state).error is None:
                assert time.monotonic() < end
                time.sleep(0.02)
            assert "revoked" in str(status.load(state).error)
            assert sender.stop(10)
        assert spool.waiting().reports == 1
