"""The reference and the example: complete, true, and as the page in docs/ has it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agent.checks import registry
from agent.checks.contract import CheckOptions
from agent.config.backups import BackupOptions
from agent.config.drills import DrillOptions
from agent.config.example import example
from agent.config.load import load
from agent.config.logs import LogOptions
from agent.config.recovery import RecoveryOptions
from agent.config.reference import reference
from agent.config.schema import AgentOptions, Config, HomeOptions, JobOptions
from kit.options.decode import decode
from kit.options.reference import description, examples, shared
from kit.options.tree import parse
from kit.options.words import literal

TABLES = {
    "agent": AgentOptions,
    "home": HomeOptions,
    "recovery": RecoveryOptions,
    "jobs.NAME": JobOptions,
    "backups.NAME": BackupOptions,
    "drills.NAME": DrillOptions,
    "logs[]": LogOptions,
    "checks.NAME": CheckOptions,
}


def structs() -> Iterator[type[msgspec.Struct]]:
    """All that options stand in."""
    tops: list[type[msgspec.Struct]] = [Config, *TABLES.values()]
    tops += [registry.load(kind).Options for kind in registry.CHECKS]
    yield from tops
    yield from shared([(top, "") for top in tops])


def options() -> list[tuple[str, msgspec.structs.FieldInfo]]:
    """Every option of every struct."""
    return [
        (f"{struct.__name__}.{option.name}", option)
        for struct in structs()
        for option in msgspec.structs.fields(struct)
    ]


@pytest.mark.parametrize(("name", "option"), options(), ids=[name for name, _ in options()])
def test_every_option_is_explained(name: str, option: msgspec.structs.FieldInfo) -> None:
    """Each option has a description that is a sentence, and examples that are valid values of it."""
    assert description(option)[0].isupper() or description(option).startswith(("false ", "true "))
    assert description(option).endswith(".")
    if name in ("Config.checks", "Config.jobs", "Config.agent", "Config.home"):
        return  # judged below, with the choosers
    alone = msgspec.defstruct("Alone", [("option", option.type)])
    for value in examples(option):
        _, mistakes = decode(alone, parse("example", f"option = {literal(value)}"))
        assert mistakes == []


def test_examples_of_whole_tables(tmp_path: Path) -> None:
    """What the top-level tables give as an example is a configuration; that of drills with that of backups."""
    given = {
        option.encode_name: f"{option.encode_name} = {literal(examples(option)[0])}\n"
        for option in msgspec.structs.fields(Config)
    }
    for name, text in given.items():
        (tmp_path / "agent.toml").write_text(text + given["backups"] * (name == "drills"))
        assert load(tmp_path / "agent.toml") != Config()


def test_every_option_is_in_the_reference() -> None:
    """The page has a row for each option of each kind, of the common ones, and of every shared table."""
    page = reference()
    keys = set(re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE))
    common = {option.name for option in msgspec.structs.fields(CheckOptions)}
    for kind in registry.CHECKS:
        assert f"\n### {kind}\n" in page
        own = {option.encode_name for option in msgspec.structs.fields(registry.load(kind).Options)} - common
        assert {f"checks.{kind}.{name}" for name in own} <= keys
    for prefix, struct in TABLES.items():
        assert {f"{prefix}.{option.encode_name}" for option in msgspec.structs.fields(struct)} <= keys


def test_links_lead_somewhere() -> None:
    """Each link inside the page has its heading."""
    page = reference()
    headings = {heading.lower() for heading in re.findall(r"^#+ (.+)$", page, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= headings


def test_the_page_is_the_reference(repository: Path) -> None:
    """docs/configuration.md is what `hostward config reference` prints; that command writes it anew."""
    assert (repository / "docs" / "configuration.md").read_text() == reference()


def test_the_example_is_valid(tmp_path: Path) -> None:
    """As it is, the example changes nothing; with every line uncommented, it is valid too."""
    file = tmp_path / "agent.toml"
    file.write_text(example())
    assert load(file) == Config()
    uncommented = re.sub(r"^#(?! )", "", example(), flags=re.MULTILINE)
    file.write_text(uncommented)
    config = load(file)
    assert config.agent == AgentOptions()
    assert config.home == HomeOptions()
    assert len(config.checks) >= 5
    assert len(config.jobs) >= 1
    assert all(line.startswith("#") or not line for line in example().splitlines())
