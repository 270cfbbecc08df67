"""docs/deploys.md and docs/patching.md name the deploys that there are, with options that they take."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from inspect import signature
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

from kit.commands import _Parser
from rollout.cli.run import RUN

WHOLE = ("collector", "recover")
"""Deploys with options that have no default: their tables are shown whole."""
PAGES = ("docs/deploys.md", "docs/patching.md", "README.md")


def text(repository: Path) -> str:
    """Of all pages."""
    return "\n".join((repository / page).read_text() for page in PAGES)


def names(repository: Path) -> list[str]:
    """The deploys that there are."""
    return sorted(path.stem for path in (repository / "deploys").glob("[a-z]*.py"))


def options(name: str) -> type[msgspec.Struct]:
    """What a deploy takes."""
    module = import_module(f"deploys.{name}")
    function = getattr(module, name)._inner
    [given] = signature(function).parameters
    found = [each for each in get_args(get_type_hints(function)[given]) if each is not type(None)]
    struct: type[msgspec.Struct] = found[0]
    return struct


def blocks(repository: Path, language: str) -> list[str]:
    """What is shown in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text(repository), flags=re.MULTILINE | re.DOTALL)


def commands(repository: Path, program: str) -> Iterator[list[str]]:
    """The words of each command shown that calls `program`."""
    for block in blocks(repository, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == [program]:
                yield words


def value(text: str) -> Any:
    """As pyinfra's command line reads it."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def table(words: list[str], name: str) -> dict[str, Any]:
    """The table that `--data NAME.KEY=VALUE` makes."""
    found: dict[str, Any] = {}
    for before, word in pairwise(words):
        key, _, text = word.partition("=")
        if before == "--data" and key.startswith(f"{name}."):
            *path, last = key.split(".")[1:]
            inner = found
            for part in path:
                inner = inner.setdefault(part, {})
            inner[last] = value(text)
    return found


def test_every_deploy_is_in_the_list_and_nothing_else(repository: Path) -> None:
    """With what it does."""
    listed = re.findall(
        r"^\| `(\w+)` \| \w", (repository / "docs/deploys.md").read_text().partition("\n## ")[0], re.M
    )
    assert listed == names(repository)


def test_shown_commands_name_deploys_and_options_that_there_are(repository: Path) -> None:
    """With values that these take."""
    shown = [words for words in commands(repository, "pyinfra") if words[2].startswith("deploys/")]
    assert {words[2].removeprefix("deploys/").removesuffix(".py") for words in shown} == set(names(repository))
    for words in shown:
        assert (repository / words[1]).exists(), words
        name = words[2].removeprefix("deploys/").removesuffix(".py")
        given = table(words, name)
        if name not in WHOLE:
            msgspec.convert(given, options(name), strict=False)
        assert given or "--data" not in words, words


def test_shown_tables_are_what_deploys_take(repository: Path) -> None:
    """Every table of host data."""
    seen = set()
    for block in blocks(repository, "python"):
        for name, given in tables(block):
            msgspec.convert(given, options(name), strict=False)
            seen.add(name)
    assert seen == {"agent", "backup", "collector", "patch", "recover"}


def tables(block: str) -> Iterator[tuple[str, Any]]:
    """`NAME = {…}`, `"NAME": {…}` or an inventory with either."""
    source = block if not block.startswith('"') else f"data = {{{block}}}"
    names: dict[str, Any] = {}
    exec(compile(ast.parse(source), "shown", "exec"), names)
    names.pop("__builtins__")
    for name, found in names.items():
        if name in ("data", "home"):
            data = found if isinstance(found, dict) else found[0][1]
            yield from data.items()
        else:
            yield name, found


def test_shown_rollouts_have_options_that_there_are(repository: Path) -> None:
    """As its own command line reads them, and data that the deploy takes; the command's own help too."""
    helped = [shlex.split(line) for line in RUN.examples.splitlines()]
    shown = [*commands(repository, "hostward-rollout"), *helped]
    assert len(shown) > len(helped) > 2
    for words in shown:
        if words[1] in ("list", "show", "resume"):
            continue
        given_words = [word for word in words[1:] if word != "run"]
        parser = _Parser(allow_abbrev=False)
        RUN.configure(parser)
        given = parser.parse_intermixed_args(given_words)
        name = Path(given.deploy).stem
        assert name in names(repository)
        if name not in WHOLE:
            msgspec.convert(table(words, name), options(name), strict=False)
        assert (repository / given.inventory).exists()


@pytest.mark.parametrize("name", ["example.py", "collector.py"])
def test_the_inventories_that_are_shown_are_there(repository: Path, name: str) -> None:
    """In the folder that is to be copied."""
    assert f"inventory/{name}" in text(repository)
    assert (repository / "inventory" / name).is_file()
