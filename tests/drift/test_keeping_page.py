"""docs/collector.md, "What home keeps of backups": its configuration is one, and its commands work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from collector.cli.dispatch import dispatch
from collector.settings import load_settings
from tests.collector.backups.keeping.conftest import inside as inside
from tests.collector.backups.keeping.yard import yard


@pytest.mark.usefixtures("inside")
def test_the_part_on_keeping_works_as_it_stands(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A clean-up raises an alert, which is seen, acknowledged and released."""
    page = (repository / "docs" / "collector.md").read_text()
    (part,) = re.findall(r"^## What home keeps of backups\n(.*?)^## ", page, re.DOTALL | re.MULTILINE)
    (toml,) = re.findall(r"```toml\n(.*?)```", part, re.DOTALL)
    (block,) = re.findall(r"```sh\n(.*?)```", part, re.DOTALL)
    config = tmp_path / "collector.toml"
    config.write_text(toml.replace("/etc/hostward/backups/db1.password", str(tmp_path / "password")))
    config.write_text(config.read_text().replace("repositories.db1", "repositories.web1"))
    settings = load_settings(config).backups
    assert settings is not None and settings.keep is not None and settings.repositories["web1"].keep is not None
    with yard(tmp_path) as home:
        monkeypatch.setattr("time.time", home.clock)
        home.days(5)
        small = home.send(b"")
        given = ["--data-dir", str(tmp_path), "--config", str(config)]
        assert dispatch(["backup", "keep", *given]) == 0
        (alert,) = home.alerts()
        for line in block.splitlines():
            words = line.partition("#")[0].replace(" 17", f" {alert.id}").replace("4bba301e", small[:8]).split()
            assert words[0] == "hostward-collector" and dispatch([*words[1:], *given]) == 0
        assert not home.alerts() and not home.facts(small).flagged
    said = capsys.readouterr().out
    assert "shrunken" in said and "is acknowledged" in said and "is released" in said
