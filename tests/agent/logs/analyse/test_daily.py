"""What of an analysis goes home."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

from agent.logs.analyse.analysis import Analyser, Origin
from agent.logs.analyse.count import Window
from agent.logs.analyse.daily import summary_of
from tests.agent.logs.analyse.test_analysis import DAY, NOW, request, syslog
from wire import fit


def test_a_day_is_bounded_and_holds_shapes_for_messages(tmp_path: Path) -> None:
    messages, requests = tmp_path / "auth.log", tmp_path / "access.log"
    messages.write_text(
        syslog(NOW - DAY - 60, "job 1 done")
        + "".join(syslog(NOW - n, f"{'abcdefghijklmnop'[n % 16] * 3} failed for 'secret {n}'") for n in range(40))
        + syslog(NOW - 9, "Failed password for root from 10.0.0.1 port 1 ssh2", "sshd")
    )
    requests.write_text("".join(request(NOW - n, f"/{n}?token=secret", 404) for n in range(40)))
    window = Window(NOW - DAY, NOW + 1)
    origins = [Origin(path=messages), Origin(path=requests), Origin(path=tmp_path / "missing")]
    analysis = Analyser(origins, window, zone=UTC, now=NOW, memory_folder=None, processes=1).run(10)
    summary = summary_of(analysis, day="2026-11-21", since=window.since, until=window.until)
    assert summary == fit.log_summary(summary)
    assert (summary.lines, summary.unreadable, summary.failed_logins) == (81, 1, 1)
    assert summary.levels == {"error": 41}
    assert (len(summary.shapes), len(summary.new_shapes), summary.new) == (10, 10, 17)
    assert summary.logins[0].names == ["root"]
    assert summary.access is not None
    assert (summary.access.requests, summary.access.classes, len(summary.access.paths)) == (40, {"4xx": 40}, 10)
    assert "secret" not in repr(summary)
