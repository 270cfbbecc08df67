"""Config, locks, key files, snapshots and indexes: what is written reads back, and anything else is damaged."""

from __future__ import annotations

import os
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup.errors import DamagedError, WrongPasswordError
from backup.format.config import (
    Config,
    encode_config,
    is_irreducible,
    new_config,
    parse_config,
    random_polynomial,
)
from backup.format.crypto import MasterKey
from backup.format.gotime import Moment
from backup.format.index import encode_index, parse_index
from backup.format.keyfile import (
    Cost,
    derive,
    encode_key_file,
    encode_master,
    new_key_file,
    open_key_file,
    parse_key_file,
    parse_master,
)
from backup.format.lock import STALE_AFTER, Lock, encode_lock, is_stale, parse_lock
from backup.format.pack import BlobKind, PackedBlob
from backup.format.snapshot import Snapshot, Summary, encode_snapshot, parse_snapshot

CHEAP = Cost(2, 1, 1)
IDS = st.binary(min_size=32, max_size=32)
MOMENTS = st.builds(Moment, st.integers(-(10**18), 4 * 10**18), st.sampled_from([0, 3600, -5400]))
NUMBERS = st.integers(0, (1 << 32) - 1)
BLOBS = st.builds(PackedBlob, st.sampled_from(BlobKind), IDS, NUMBERS, NUMBERS, NUMBERS)
HEX = IDS.map(bytes.hex)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
INDEX = '{"packs":[{"id":"ID","blobs":[{"id":"ID","type":"data","offset":OFFSET,"length":1}]}]}'.replace(
    "ID", "0" * 64
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | HEX,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "packs", "blobs", "type", "offset", "length", "time", "tree", "paths", "pid", "kdf"]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)


# Config


@pytest.mark.parametrize("polynomial", ["25b468838dcb75", "2075308c751b3d"])
def test_polynomials_that_restic_chose_are_irreducible(polynomial: str) -> None:
    """One from its documentation, one that a real repository has."""
    assert is_irreducible(int(polynomial, 16))


def test_a_product_is_not_irreducible() -> None:
    """Nor is one of another degree; 1 in 53 is, as the theory says (necklaces of prime length)."""
    assert not is_irreducible(1 << 53)
    assert not is_irreducible(0b111)
    source = random.Random(5)
    candidates = [source.getrandbits(53) | 1 << 53 for _ in range(3000)]
    assert 30 < sum(map(is_irreducible, candidates)) < 85


def test_every_repository_has_a_polynomial_and_an_id_of_its_own() -> None:
    """From the randomness that is given, and from that alone."""
    made = [new_config(random.Random(seed).randbytes) for seed in (1, 2, 1)]
    assert made[0] == made[2] != made[1]
    assert all(is_irreducible(int(config.chunker_polynomial, 16)) for config in made)
    assert random_polynomial(os.urandom).bit_length() == 54
    assert parse_config(encode_config(made[0])) == made[0]


def test_an_old_repository_is_told_how_to_become_a_new_one() -> None:
    """Version 1 is restic's format of before 2022."""
    with pytest.raises(DamagedError, match="migrate upgrade_repo_v2"):
        parse_config(encode_config(Config(1, "00", "3")))
    with pytest.raises(DamagedError, match="version 3 of restic's format; expected 2"):
        parse_config(encode_config(Config(3, "00", "3")))


# Locks


@given(MOMENTS, st.booleans(), WORDS, WORDS, st.integers(-1, 1 << 22), NUMBERS, NUMBERS)
def test_a_lock_reads_back(time: Moment, exclusive: bool, host: str, user: str, pid: int, uid: int, gid: int) -> None:
    """Whole."""
    lock = Lock(time, exclusive, host, user, pid, uid, gid)
    assert parse_lock(encode_lock(lock)) == lock


@pytest.mark.parametrize(
    ("age", "host", "alive", "stale"),
    [
        (STALE_AFTER, "here", True, False),
        (STALE_AFTER + 1, "here", True, True),
        (STALE_AFTER + 1, "there", True, True),
        (0, "here", False, True),
        (0, "there", False, False),
        (-10 * STALE_AFTER, "here", True, False),
    ],
)
def test_a_lock_is_left_behind_when_it_is_old_or_its_process_is_gone(
    age: int, host: str, alive: bool, stale: bool
) -> None:
    """Of another host only its age counts; one from the future is not old."""
    lock = Lock(Moment(10**18), False, host, "u", 7)
    assert is_stale(lock, now=10**18 + age, hostname="here", is_alive=lambda pid: alive) is stale


def test_locks_exclude_each_other_unless_both_are_shared() -> None:
    """As restic has it."""
    shared, exclusive = (Lock(Moment(0), kind, "h", "u", 1) for kind in (False, True))
    assert [shared.excludes(exclusive=kind) for kind in (False, True)] == [False, True]
    assert [exclusive.excludes(exclusive=kind) for kind in (False, True)] == [True, True]


# Keys


def test_a_password_opens_its_key_file_and_no_other_does() -> None:
    """Also after it was written and read."""
    master = MasterKey.generate()
    made = new_key_file(
        master, b"right", created=Moment(1), username="u", hostname="h", cost=CHEAP, random=os.urandom
    )
    read = parse_key_file(encode_key_file(made))
    assert read == made
    assert open_key_file(read, b"right") == master
    with pytest.raises(WrongPasswordError):
        open_key_file(read, b"wrong")


def test_scrypt_is_the_one_of_the_rfc() -> None:
    """A vector of RFC 7914, section 12."""
    key = derive(b"pleaseletmein", b"SodiumChloride", Cost(16384, 8, 1))
    assert key.encrypt.hex() == "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"


@pytest.mark.parametrize(
    "cost",
    [Cost(0, 8, 1), Cost(3, 8, 1), Cost(1 << 40, 8, 1), Cost(1 << 20, 64, 1), Cost(2, 1, 1 << 30), Cost(2, -1, 1)],
)
def test_a_key_file_cannot_ask_for_a_cost_beyond_reason(cost: Cost) -> None:
    """Whoever can write to the store could stop every start otherwise."""
    with pytest.raises(DamagedError, match="a key file asks for scrypt"):
        derive(b"", bytes(64), cost)


def test_a_master_key_of_zeros_is_refused() -> None:
    """restic refuses it too; and no message tells what was in it."""
    with pytest.raises(DamagedError, match="does not hold a key"):
        parse_master(encode_master(MasterKey(bytes(32), bytes(16), bytes(16))))
    master = MasterKey.generate()
    assert parse_master(encode_master(master)) == master


# Snapshots


@given(
    MOMENTS,
    st.none() | IDS,
    st.lists(WORDS, max_size=3),
    WORDS,
    st.lists(WORDS, max_size=3),
    st.none() | HEX,
    st.none() | st.builds(Summary, WORDS, WORDS, NUMBERS),
)
def test_a_snapshot_reads_back(
    moment: Moment,
    tree: bytes | None,
    paths: list[str],
    word: str,
    tags: list[str],
    parent: str | None,
    summary: Summary | None,
) -> None:
    """Whole, but for its name, which is that of its file."""
    made = Snapshot(
        moment,
        tree,
        tuple(paths),
        word,
        word,
        1,
        2,
        tuple(tags),
        tuple(tags),
        parent,
        parent,
        word,
        summary,
        id="ab",
    )
    assert parse_snapshot(encode_snapshot(made), "ab") == made


def test_a_path_that_is_not_utf8_becomes_what_go_makes_of_it() -> None:
    """The tree has the bytes; the list of paths is for people."""
    made = Snapshot(Moment(0), bytes(32), (os.fsdecode(b"/caf\xe9"),))
    assert parse_snapshot(encode_snapshot(made)).paths == ("/caf\ufffd",)


# Indexes


@given(st.lists(st.tuples(IDS, st.lists(BLOBS, max_size=4)), max_size=4))
def test_an_index_reads_back(packs: list[tuple[bytes, list[PackedBlob]]]) -> None:
    """Whole."""
    assert parse_index(encode_index(packs)) == packs


@pytest.mark.parametrize(
    "text",
    [
        '{"packs":[{"id":"00","blobs":[]}]}',
        '{"packs":[{"id":"zz","blobs":[]}]}',
        '{"packs":[{"id":"' + "00 " * 21 + '0","blobs":[]}]}',
        '{"packs":[{"id":"' + "é" * 64 + '","blobs":[]}]}',
        INDEX.replace("OFFSET", "-1"),
        INDEX.replace("OFFSET", str(1 << 32)),
        INDEX.replace("OFFSET", "0").replace("data", "tea"),
    ],
)
def test_an_index_that_cannot_be_is_refused(text: str) -> None:
    """Its numbers go into four bytes each."""
    with pytest.raises(DamagedError, match="an index"):
        parse_index(text.encode())


# All of them


@pytest.mark.parametrize(
    "parse", [parse_config, parse_lock, parse_key_file, parse_master, parse_snapshot, parse_index]
)
@given(data=st.binary(max_size=60) | JSON.map(lambda value: msgspec.json.encode(value)))
def test_any_bytes_are_read_or_damaged(parse: object, data: bytes) -> None:
    """A store is not trusted: nothing but DamagedError is raised."""
    assert callable(parse)
    try:
        parse(data)
    except DamagedError as error:
        assert str(error)


@pytest.mark.parametrize(
    "parse", [parse_config, parse_lock, parse_key_file, parse_master, parse_snapshot, parse_index]
)
def test_what_lies_in_itself_for_ever_is_damaged(parse: object) -> None:
    """Also where nobody asked for it."""
    assert callable(parse)
    with pytest.raises(DamagedError):
        parse(b'{"unknown":' + b"[" * 1_000_000)
