"""A configuration that others can write is nobody's: what stands in it is run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.config.load import load, read
from agent.config.trust import distrust, own_or_roots
from kit.errors import ConfigurationError
from tests.agent.daemon.daemons import hostward
from tests.require import require_root

ROOT = frozenset({0})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration as it should be."""
    tmp_path.chmod(0o755)
    (tmp_path / "agent.d").mkdir(mode=0o755)
    for file in (tmp_path / "agent.toml", tmp_path / "agent.d/10.toml"):
        file.write_text("")
        file.chmod(0o644)
    return tmp_path


def refusal(folder: Path, owners: frozenset[int] | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(folder / "agent.toml", owners=owners)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_ones_own_files_are_fine(folder: Path) -> None:
    """Nobody but the owner can write to them."""
    load(folder / "agent.toml")


@pytest.mark.parametrize("place", ["agent.toml", "agent.d", "agent.d/10.toml", "."])
@pytest.mark.parametrize(("mode", "who"), [(0o002, "everybody"), (0o020, "the group")])
def test_what_others_may_write_to_is_refused(folder: Path, place: str, mode: int, who: str) -> None:
    """A file, or a folder in which it could be replaced or added to; the sentence says where, who and what to do."""
    path = folder / place
    os.chown(path, -1, 4242) if os.geteuid() == 0 else None
    path.chmod(path.stat().st_mode | mode)
    text = refusal(folder)
    assert text.startswith(f"{path}: {who}")
    assert "chmod go-w" in text


@pytest.mark.root
@pytest.mark.parametrize("place", ["agent.toml", "agent.d", "agent.d/10.toml", "."])
def test_what_belongs_to_somebody_else_is_refused(folder: Path, place: str) -> None:
    """Its owner can write to it whatever its mode says."""
    require_root()
    os.chown(folder / place, 4242, -1)
    assert "belongs to user 4242" in refusal(folder)


@pytest.mark.root
def test_a_folder_further_up_counts_too(folder: Path) -> None:
    """Who can rename it can put another in its place."""
    require_root()
    inner = folder / "a/b"
    inner.mkdir(parents=True)
    (inner / "agent.toml").write_text("")
    (folder / "a").chmod(0o777)
    assert refusal(inner).startswith(f"{folder / 'a'}: everybody")
    (folder / "a").chmod(0o1777)  # where only owners can, as in /tmp
    load(inner / "agent.toml")
    os.chown(inner, 4242, -1)
    assert "belongs to user 4242" in refusal(inner)


@pytest.mark.root
def test_a_link_is_judged_with_what_it_leads_to(folder: Path) -> None:
    """Root may link its configuration to wherever else only root writes."""
    require_root()
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "real.toml").write_text("")
    link = folder / "link"
    link.mkdir()
    (link / "agent.toml").symlink_to("../elsewhere/real.toml")
    assert distrust([link / "agent.toml"], ROOT) == []
    elsewhere.chmod(0o777)
    [mistake] = distrust([link / "agent.toml"], ROOT)
    assert str(elsewhere) in str(mistake)
    elsewhere.chmod(0o755)
    os.chown(link / "agent.toml", 4242, -1, follow_symlinks=False)
    [mistake] = distrust([link / "agent.toml"], ROOT)
    assert "belongs to user 4242" in str(mistake)


@pytest.mark.root
def test_a_way_up_is_the_kernels_not_the_names(folder: Path) -> None:
    """`link/../agent.toml` is beside what the link leads to, not beside the link."""
    require_root()
    away = folder / "away"
    (away / "inner").mkdir(parents=True)
    (away / "agent.toml").write_text("")
    away.chmod(0o777)
    (folder / "link").symlink_to(away / "inner")
    [mistake] = distrust([folder / "link/../agent.toml"], ROOT)
    assert mistake.place is not None
    assert mistake.place.file == str(away)


def test_links_that_lead_to_each_other_end(tmp_path: Path) -> None:
    """Reading them is the error that people see."""
    (tmp_path / "agent.toml").symlink_to("other")
    (tmp_path / "other").symlink_to("agent.toml")
    assert distrust([tmp_path / "agent.toml"], own_or_roots()) == []
    with pytest.raises(ConfigurationError):
        load(tmp_path / "agent.toml")


def test_nothing_may_be_the_configuration() -> None:
    """/dev/null is a way to say so, and everybody may write to it."""
    load(Path("/dev/null"))


@pytest.mark.root
def test_root_alone_is_not_whoever_runs_it(folder: Path) -> None:
    """What root's half runs is root's own."""
    require_root()
    os.chown(folder / "agent.toml", 4242, -1)
    assert "it must belong to root (chown root)" in refusal(folder, ROOT)
    read(folder / "agent.toml", owners=frozenset({0, 4242}))


def test_the_commands_say_so(folder: Path) -> None:
    """`config check` with 2, and `check` with a plugin's unknown."""
    file = folder / "agent.toml"
    file.chmod(0o646)
    done = hostward("config", "check", "--config", str(file))
    assert done.returncode == 2
    assert done.stderr == f"hostward: {file}: everybody may write to it (mode 0646); chmod go-w it\n"
    assert hostward("check", "memory", "--config", str(file)).returncode == 3
