"""Every parser of what comes from outside, fed with anything: a value, or its one error."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.backups.frozen import btrfs, lvm
from agent.backups.frozen.contract import FrozenError
from agent.backups.frozen.mounts import Mounted
from agent.backups.sources import docker
from agent.backups.wal.history import parse_history
from agent.checks.engine import EngineError
from agent.home import identity
from backup.archive.previous import parse_previous
from backup.errors import DamagedError
from backup.format.node import parse_id
from backup.select import wal_names
from backup.select.snapshots import parse_tags
from collector.api.hosts import _Query
from collector.api.problems import ApiError
from collector.audit import Head
from collector.metrics import blocks
from collector.rules.login import network
from collector.settings import Settings
from collector.web import listing, location
from kit.errors import UsageError
from kit.options import tree
from kit.options.decode import decode
from kit.units import Duration, Size
from wire import access, codec, signature
from wire.errors import WireError

text = st.text(max_size=300) | st.text("0123456789.:-+eE/\\%&=?#;,@[]\"'<> \t\r\n\x00", max_size=100)
data = st.binary(max_size=400)
tree_data = data | st.builds(
    lambda name, field, value: msgspec.json.encode({"nodes": [{"name": name, "type": "file", field: value}]}),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.sampled_from(["mode", "mtime", "size", "content", "subtree", "links", "name"]),
    st.none() | st.integers() | st.floats(allow_nan=False) | st.lists(st.text("0123456789abcdefg\\x", max_size=70)),
)


@dataclass(frozen=True)
class Parser:
    """What is called, with what, and what it may raise."""

    call: Callable[[Any], object]
    given: st.SearchStrategy[Any]
    errors: tuple[type[Exception], ...] = ()


def options_of(content: str) -> object:
    """A text as home's configuration file, which is on disk in reality."""
    return decode(Settings, tree.parse("collector.toml", content))


TRUSTED = {
    "agent.checks.runner.decode_call": "what the daemon itself wrote for its own child",
    "agent.inotify.parse": "what the kernel gives",
    "agent.metrics.node": "tables of the kernel; one that cannot be read is that collector's error",
}
"""Module, or function, to why it need not stand anything."""

PARSERS: dict[str, Parser] = {
    "backup.archive.previous.parse_previous": Parser(parse_previous, tree_data, (DamagedError,)),
    "backup.format.node.parse_id": Parser(
        parse_id, text | st.text("0123456789abcdefABCDEF \t", min_size=60, max_size=66), (ValueError,)
    ),
    "backup.select.snapshots.parse_tags": Parser(parse_tags, text),
    "wire.codec.decode": Parser(codec.decode, data, (WireError,)),
    "wire.codec.decode_enrolled": Parser(codec.decode_enrolled, data, (ValueError,)),
    "wire.codec.decode_enrolment": Parser(codec.decode_enrolment, data, (WireError,)),
    "wire.codec.decode_refusal": Parser(codec.decode_refusal, data, (ValueError,)),
    "wire.codec.decode_reply": Parser(codec.decode_reply, data, (ValueError,)),
    "wire.codec.decompress": Parser(codec.decompress, data, (WireError,)),
    "wire.signature.load_public_key": Parser(signature.load_public_key, text, (ValueError,)),
    "wire.signature.parse": Parser(
        signature.parse,
        st.dictionaries(st.sampled_from(["signature", "signature-input", "content-digest"]), text),
        (WireError,),
    ),
    "collector.audit.Head.parse": Parser(Head.parse, text, (ValueError,)),
    "collector.metrics.blocks.decode_block": Parser(
        blocks.decode_block, data | data.map(lambda body: blocks.MAGIC + body), (blocks.BlockError,)
    ),
    "collector.metrics.blocks.decode_row": Parser(
        lambda body: list(blocks.decode_row(body, 500_000)), data, (blocks.BlockError,)
    ),
    "collector.web.listing.Query.parse": Parser(
        listing.Query.parse, st.dictionaries(st.sampled_from(["q", "state", "page", "x"]), text)
    ),
    "kit.options.tree.parse": Parser(lambda content: tree.parse("x.toml", content), text, (tree.UnreadableError,)),
    "kit.options.decode.decode": Parser(
        options_of,
        text | st.from_regex(r"\[(history|connections|x)\]\n(\w+ = .*\n)*", fullmatch=True),
        (tree.UnreadableError,),
    ),
    "kit.units.Duration.parse": Parser(Duration.parse, text, (ValueError,)),
    "kit.units.Size.parse": Parser(Size.parse, text, (ValueError,)),
    # Not called parse, and read what comes from outside all the same.
    "collector.api.hosts._Query.of": Parser(
        lambda items: _Query.of(items, 1e9),
        st.lists(st.tuples(st.sampled_from(["start", "end", "step", "check", "name", "label.x", "y"]), text)),
        (ApiError,),
    ),
    "collector.rules.login.network": Parser(network, text),
    "collector.web.location.local_path": Parser(location.local_path, text),
    "collector.web.location.path_of": Parser(location.path_of, text),
    "agent.backups.frozen.btrfs.parse_list": Parser(
        lambda listed: btrfs.parse_list(listed, Mounted(b"/srv", b"/@srv", "btrfs", "/dev/sda", "0:1")),
        data | st.lists(st.binary(max_size=30).map(lambda path: b"ID 1 gen 2 path @srv/" + path)).map(b"\n".join),
    ),
    "agent.backups.frozen.lvm.decode": Parser(
        lvm.decode, data | data.map(lambda body: b'{"report":[{"lv":[{"lv_name":"' + body + b'"}]}]}'), (FrozenError,)
    ),
    "agent.backups.sources.docker.parse_volumes": Parser(
        docker.parse_volumes, data | data.map(lambda body: b'{"Volumes":[{"Name":"' + body + b'"}]}'), (EngineError,)
    ),
    "agent.backups.wal.history.parse_history": Parser(
        lambda content: parse_history("00000002.history", content, 7),
        data | text.map(lambda words: f"1\t{words}\n".encode("utf-8", "replace")),
        (ValueError,),
    ),
    "backup.select.wal_names.parse_lsn": Parser(wal_names.parse_lsn, text, (ValueError,)),
    "backup.select.wal_names.parse_segment": Parser(
        lambda name: wal_names.parse_segment(name, 1 << 24),
        text | st.text("0123456789ABCDEF", min_size=24, max_size=24),
        (ValueError,),
    ),
    "backup.select.wal_names.parse_tag": Parser(
        wal_names.parse_tag,
        text
        | st.from_regex(
            r"(base|wal|branch)(-(\d{1,20}|[0-9A-F]{24}|16MiB|0MiB|F/A|until|from|at)){4,7}", fullmatch=True
        ),
    ),
    "wire.access.decode_access": Parser(access.decode_access, data, (ValueError,)),
    "wire.access.decode_access_request": Parser(access.decode_access_request, data, (ValueError,)),
    "agent.home.identity.collector_url": Parser(identity.collector_url, text, (UsageError,)),
}


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_gives_a_value_or_its_error(name: str) -> None:
    """Never another one, whatever it is given."""
    parser = PARSERS[name]

    @settings(max_examples=150)
    @given(parser.given)
    def try_it(value: Any) -> None:
        with suppress(*parser.errors):
            parser.call(value)

    try_it()


NAMES = re.compile(r"(parse|decode|decompress)(_\w+)?")


def parsers(repository: Path) -> Iterator[tuple[str, str]]:
    """Module and name of what is called like a parser and can be called from other modules."""
    for room in ("agent", "backup", "collector", "kit", "wire"):
        for file in sorted((repository / room).rglob("*.py")):
            module = ".".join(file.relative_to(repository).with_suffix("").parts)
            for node in ast.parse(file.read_text()).body:
                if isinstance(node, ast.FunctionDef) and NAMES.fullmatch(node.name):
                    yield module, node.name


def test_every_parser_is_fed_with_anything_somewhere(repository: Path) -> None:
    """In the table above, or by a test of its own that hypothesis drives."""
    fuzzed = [content for file in (repository / "tests").rglob("*.py") if "@given(" in (content := file.read_text())]
    missing = []
    for module, name in parsers(repository):
        if f"{module}.{name}" in PARSERS or any(f"{module}.{name}".startswith(known) for known in TRUSTED):
            continue
        last = module.rpartition(".")[2]
        if not any(re.search(rf"\b{name}\b", text) and re.search(rf"\b{last}\b", text) for text in fuzzed):
            missing.append(f"{module}.{name}")
    assert missing == []
