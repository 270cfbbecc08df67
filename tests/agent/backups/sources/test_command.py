"""What programs print, as files of a snapshot."""

from __future__ import annotations

import pytest

from agent.backups.sources import registry
from agent.config.backup_sources.command import CommandSource
from kit.errors import HostwardError
from tests.agent.backups.sources.saver import Saver
from tests.require import require_root


def source(script: str, **options: str) -> CommandSource:
    return CommandSource(command=("sh", "-c", script), filename="/dumps/it", **options)


def test_what_a_program_prints_is_a_file(saver: Saver) -> None:
    """Under the name that the job gives; files that are named are saved as they are."""
    outcome = saver.save("command", source("echo printed; echo said >&2"))
    assert saver.files(outcome) == {"/dumps/it": b"printed\n"}
    assert outcome.snapshot.paths == ("/dumps/it",)
    outcome = saver.save("files", ["/etc/hostname"])
    assert outcome.snapshot.paths == ("/etc/hostname",)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("head -c 3000000 /dev/zero; echo why >&2; exit 3", "sh failed with exit code 3: why; no snapshot was made"),
        ("echo half; kill -9 $$", "sh failed with signal 9; no snapshot was made"),
        ("exec /no/such", "sh failed with exit code 127"),
    ],
)
def test_a_program_that_fails_leaves_no_snapshot(saver: Saver, script: str, said: str) -> None:
    """Neither after an exit code nor after a signal, whatever it has printed."""
    with pytest.raises(HostwardError, match=said):
        saver.save("command", source(script))
    assert saver.count() == 0


def test_a_program_runs_as_another_user(saver: Saver) -> None:
    """With its groups and its home; one that there is not is named."""
    require_root()
    outcome = saver.save("command", source('id -un; echo "$HOME"', run_as="nobody"))
    assert saver.files(outcome)["/dumps/it"] == b"nobody\n/nonexistent\n"
    with pytest.raises(HostwardError, match="there is no user no-such-user"):
        saver.save("command", source("true", run_as="no-such-user"))


def test_every_source_is_there() -> None:
    """What the registry names has what the contract asks for."""
    for name, module in registry.SOURCES.items():
        assert callable(__import__(module, fromlist=["opened"]).opened), name
