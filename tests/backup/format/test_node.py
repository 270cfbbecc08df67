"""Trees: the same bytes as restic's, whatever is in a node; damage and hostile names are refused in one sentence."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup.errors import DamagedError
from backup.format.instant import format_instant, instant_nanoseconds
from backup.format.node import (
    FILE,
    Node,
    decode_name,
    encode_name,
    encode_node,
    encode_tree,
    mode_of,
    parse_tree,
)

SHA = bytes(range(32))
names = st.binary(min_size=1, max_size=40).filter(lambda name: name not in (b".", b"..") and not {0, 47} & set(name))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ids = st.binary(min_size=32, max_size=32)
unsigned = st.integers(0, (1 << 64) - 1)
instants = st.builds(
    format_instant,
    st.integers(-62_000_000_000, 253_000_000_000).map(lambda seconds: seconds * 10**9)
    | st.integers(-(1 << 62), 1 << 62),
    st.integers(-14 * 60, 14 * 60).map(lambda minutes: minutes * 60),
)
nodes = st.builds(
    Node,
    name=names,
    type=st.sampled_from(["file", "dir", "symlink", "dev", "chardev", "fifo", "socket", "irregular", ""]),
    mode=st.integers(0, (1 << 32) - 1),
    mtime=instants,
    atime=instants,
    ctime=instants,
    uid=st.integers(0, (1 << 32) - 1),
    gid=st.integers(0, (1 << 32) - 1),
    user=texts,
    group=texts,
    inode=unsigned,
    device_id=unsigned,
    size=unsigned,
    links=unsigned,
    linktarget=st.binary(max_size=30) | texts.map(str.encode),
    extended_attributes=st.lists(st.tuples(texts, st.binary(max_size=20)), max_size=3),
    generic_attributes=st.sampled_from([b"", b'{"windows.creation_time":"AAA=","x":[1,{"y":null}]}']),
    device=unsigned,
    content=st.none() | st.lists(ids, max_size=3),
    subtree=st.none() | ids,
    error=texts,
)


@given(st.lists(nodes, max_size=4, unique_by=lambda node: node.name))
def test_what_is_written_reads_back(given_nodes: list[Node]) -> None:
    """Every node survives, and is encoded to the same bytes again; any JSON parser reads them."""
    data = encode_tree(encode_node(node) for node in given_nodes)
    assert parse_tree(data) == given_nodes
    assert encode_tree(map(encode_node, parse_tree(data))) == data
    assert len(json.loads(data)["nodes"]) == len(given_nodes)


@given(names)
def test_names_stay_as_they_are(name: bytes) -> None:
    """A name of any bytes comes back, and in JSON is no character that Go would have escaped."""
    quoted = encode_name(name)
    assert decode_name(json.loads(f'"{quoted}"')) == name
    assert not set(quoted) & set("<>&\u2028\u2029\n\x7f")


# As restic 0.19.1 wrote them.
QUOTED = {
    b"plain.txt": "plain.txt",
    b"<>&": r"\u003c\u003e\u0026",
    b'quo"te': r"quo\\\"te",
    b"sq'uote": "sq'uote",
    b"back\\slash": r"back\\\\slash",
    b"new\nline": r"new\\nline",
    b"tab\tbell\x07bs\x08vt\x0bff\x0ccr\r\x01\x7f": r"tab\\tbell\\abs\\bvt\\vff\\fcr\\r\\x01\\x7f",
    b"bad\xff\xfeutf": r"bad\\xff\\xfeutf",
    b"\xed\xa0\x80": r"\\xed\\xa0\\x80",
    b"\xe2\x82": r"\\xe2\\x82",
    "nbsp\xa0": r"nbsp\\u00a0",
    "soft\xad": r"soft\\u00ad",
    "u2028\u2028x": r"u2028\\u2028x",
    "\u200b\ufeff": r"\\u200b\\ufeff",
    "priv\ue000\U000f0000": r"priv\\ue000\\U000f0000",
    "emoji😀": "emoji😀",
    "e\u0301": "e\u0301",
    "\ufffd": "\ufffd",
}


@pytest.mark.parametrize(("name", "quoted"), QUOTED.items(), ids=[str(number) for number in range(len(QUOTED))])
def test_names_are_quoted_as_go_quotes(name: bytes | str, quoted: str) -> None:
    """First strconv.Quote, then the escapes of JSON."""
    raw = name.encode() if isinstance(name, str) else name
    assert encode_name(raw) == quoted
    assert decode_name(json.loads(f'"{quoted}"')) == raw


def test_a_node_is_written_as_restic_writes_it() -> None:
    """The order of the fields, what is left out, and how a link to bad bytes is kept."""
    time = "2026-11-22T04:13:25.62237839-03:30"
    link = Node(
        b"l", *mode_of(0o120777), time, time, time, user="root", links=1, linktarget=b'bad\xff\xe2\x82<"\\\n\x08\x01'
    )
    assert encode_node(link).decode() == (
        f'{{"name":"l","type":"symlink","mode":134218239,"mtime":"{time}","atime":"{time}","ctime":"{time}",'
        r'"uid":0,"gid":0,"user":"root","links":1,"linktarget":"bad\ufffd\ufffd\ufffd\u003c\"\\\n\b\u0001",'
        f'"linktarget_raw":"{base64.b64encode(link.linktarget).decode()}","content":null}}'
    )
    file = Node(
        b"f", *mode_of(0o104755), time, time, time, 1, 2, inode=3, device_id=4, size=5, links=6, content=[SHA, SHA]
    )
    file.extended_attributes = [("user.ä<", b"\x00\xff"), ("user.e", b"")]
    assert encode_node(file).decode() == (
        f'{{"name":"f","type":"file","mode":8389101,"mtime":"{time}","atime":"{time}","ctime":"{time}",'
        '"uid":1,"gid":2,"inode":3,"device_id":4,"size":5,"links":6,'
        r'"extended_attributes":[{"name":"user.ä\u003c","value":"AP8="},{"name":"user.e","value":""}],'
        f'"content":["{SHA.hex()}","{SHA.hex()}"]}}'
    )
    folder = Node(b"d", *mode_of(0o041777), time, time, time, subtree=SHA)
    assert encode_node(folder).endswith(f'"content":null,"subtree":"{SHA.hex()}"}}'.encode())
    assert b'"mode":2148532735,' in encode_node(folder)
    empty = Node(b"e", content=[])
    assert encode_node(empty).endswith(b'"uid":0,"gid":0,"content":[]}')
    assert encode_tree([]) == b'{"nodes":[]}\n'


def test_attributes_of_windows_stay_as_they_are() -> None:
    """What only other systems know is kept opaque, with the order and the spelling it has."""
    generic = '{"windows.file_attributes":"IAAAAA==","windows.creation_time":{"z":1,"a":[null]}}'
    data = b'{"nodes":[' + encode_node(Node(b"w", content=[])) + b"]}\n"
    data = data.replace(b'"content"', b'"generic_attributes":' + generic.encode() + b',"content"')
    [node] = parse_tree(data)
    assert node.generic_attributes.decode() == generic
    assert encode_tree([encode_node(node)]) == data


def test_permissions_are_those_of_stat() -> None:
    """The twelve lowest bits of st_mode survive Go's, with each type."""
    for kind in (0o100000, 0o040000, 0o120000, 0o060000, 0o020000, 0o010000, 0o140000):
        for bits in (0, 0o7777, 0o4711, 0o2070, 0o1007, 0o644):
            assert Node(b"x", *mode_of(kind | bits)).permissions == bits
    assert mode_of(0o150000)[0] == ""


HOSTILE_NAMES = ["", ".", "..", "/", "a/b", "../../etc/passwd", r"\\x2e\\x2e", r"\\x00", r"a\\u002fb", r"\\057"]
WRONG_QUOTES = [r"\\", r"\\q", r"\\xg0", r"\\x1", r"\\400", r"\\ud800", r"\\U00110000", r"\"", r"a\nb", r"\\'"]


@pytest.mark.parametrize("quoted", HOSTILE_NAMES + WRONG_QUOTES)
def test_names_that_no_folder_holds_are_refused(quoted: str) -> None:
    """Also when they hide behind escapes."""
    data = b'{"nodes":[' + encode_node(Node(b"NAME")).replace(b"NAME", quoted.encode()) + b"]}\n"
    with pytest.raises(DamagedError):
        parse_tree(data)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mtime", "yesterday"),
        ("atime", "2024-13-01T00:00:00Z"),
        ("ctime", "2024-01-01T24:00:00Z"),
        ("uid", -1),
        ("uid", 1 << 32),
        ("mode", 1 << 32),
        ("inode", 1 << 64),
        ("size", -1),
        ("size", 1.5),
        ("links", "1"),
        ("content", ["ab"]),
        ("content", [SHA.hex()[:-2] + "  "]),
        ("content", [SHA.hex()[:-1] + "x"]),
        ("content", "x"),
        ("subtree", "00"),
        ("subtree", 5),
        ("extended_attributes", [{"name": "user.x", "value": "!"}]),
        ("linktarget_raw", "!"),
        ("name", None),
        ("type", 7),
    ],
)
def test_fields_that_make_no_sense_are_refused(field: str, value: Any) -> None:
    """Each with a sentence, before anything is done with them."""
    tree = json.loads(encode_tree([encode_node(Node(b"x"))]))
    tree["nodes"][0][field] = value
    with pytest.raises(DamagedError):
        parse_tree(json.dumps(tree).encode())


def test_doubles_are_refused_and_disorder_is_not() -> None:
    """restic reads trees in any order; two entries of one name could each overwrite the other."""
    one, two = encode_node(Node(b"a")), encode_node(Node(b"b"))
    assert [node.name for node in parse_tree(encode_tree([two, one]))] == [b"b", b"a"]
    with pytest.raises(DamagedError, match="same name"):
        parse_tree(encode_tree([one, two, one]))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"nodes":[{}]}',
        b'{"nodes":[null]}',
        b'{"nodes":' + b"[" * 100_000,
        b'{"nodes":[{"name":"a","unknown":' + b"[" * 100_000,
        b'{"nodes":[{"name":"a","generic_attributes":' + b'{"a":' * 100_000,
        b'{"nodes":[{"name":"a","type":"file","uid":' + b"9" * 10_000 + b"}]}",
    ],
    ids=range(10),
)
def test_what_is_no_tree_is_refused(data: bytes) -> None:
    """Truncated, nested without end, something else."""
    with pytest.raises(DamagedError):
        parse_tree(data)


def test_trees_of_old_versions_are_read() -> None:
    """Empty ones were `null`, and what was not known then is left out."""
    assert parse_tree(b'{"nodes":null}\n') == []
    assert parse_tree(b'{"nodes":[{"name":"a","type":"file","later":{"x":[1]}}]}') == [Node(b"a", FILE)]


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_random_bytes_raise_one_error(data: bytes) -> None:
    """Nothing but DamagedError comes out of the parser."""
    for raw in (data, b'{"nodes":[' + data + b"]}", b'{"nodes":[{"name":"' + data + b'"}]}'):
        try:
            parse_tree(raw)
        except DamagedError as error:
            assert len(str(error)) < 500


@given(st.integers(-(1 << 63), (1 << 63) - 1), st.integers(-18 * 60, 18 * 60))
def test_times_come_back_to_the_nanosecond(nanoseconds: int, minutes: int) -> None:
    """From 1677 to 2262, in every zone."""
    text = format_instant(nanoseconds, minutes * 60)
    assert instant_nanoseconds(text) == nanoseconds
    assert not text.split(".")[-1].rstrip("Z").endswith("0") or "." not in text or text[-6] in "+-"


def test_times_beyond_four_digits_are_brought_within() -> None:
    """As restic does: year 0 or 9999, all else as it was; seconds of an offset give way to UTC."""
    assert format_instant(300_000_000_000 * 10**9) == "9999-08-15T05:20:00Z"
    # The 29th of February 12000, in a year that has none.
    assert format_instant((951_782_400 + 25 * 146_097 * 86_400) * 10**9) == "9999-03-01T00:00:00Z"
    assert format_instant(-70_000_000_000 * 10**9).startswith("0000-")
    assert format_instant(0, 3208) == "1970-01-01T00:00:00Z"
    assert format_instant(120_000_000, -12600) == "1969-12-31T20:30:00.12-03:30"
    assert instant_nanoseconds("0000-01-01T00:00:00Z") == -62_167_219_200 * 10**9
    assert instant_nanoseconds("0001-01-01T00:00:00Z") == -62_135_596_800 * 10**9
