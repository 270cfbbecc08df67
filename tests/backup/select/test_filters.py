"""Patterns, held against the real restic for any list of them."""

from __future__ import annotations

import json
import os
import random
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from backup.format.keyfile import Cost
from backup.repository.repository import Repository
from backup.select.filters import (
    CACHE_MARK,
    MAX_LINE,
    Excludes,
    Filter,
    Includes,
    Mark,
    lower,
    parse_pattern_file,
)
from backup.stores.local import LocalStore
from kit.errors import UsageError
from tests.peers import every_restic, newest_restic, restic_of_debian

NAMES = [b"a", b"b", b"aa", b"ab", b"A", b"x.o", "é".encode(), "É".encode(), "aé€".encode(), "😀".encode(), b"a\xff"]
NAMES += [b"[", b"a*b", b"b]", b"!a", b"a\nb", "İ".encode()]
ATOMS = [b"a", b"b", b"A", b".", b"x", b"*", b"?", b"[ab]", b"[^a]", b"[a-b]", b"\\a", b"\\*", b"]", b"!", b"\xff"]
ATOMS += ["é".encode(), "[é-€]".encode(), "[^é]".encode(), "[\ufffd]".encode(), "[a-\U0010ffff]".encode(), b"[\\]!]"]
BROKEN = [b"[", b"[]", b"[a-]", b"[^]", b"[-a]", b"[\xff]", b"\\"]


class Tree:
    """A folder with files and folders, the same in every run, and a repository that has it."""

    def __init__(self, folder: Path) -> None:
        self.root = os.fsencode(folder / "t")
        self.folders: dict[bytes, list[bytes]] = {}
        chance = random.Random(4)
        self._grow(self.root, 5, chance)
        self.repository = folder / "repository"
        Repository.create(LocalStore(self.repository), b"x", cost=Cost(2, 1, 1))
        self.run(newest_restic(), b"backup", b"-q", self.root)

    def _grow(self, path: bytes, depth: int, chance: random.Random) -> None:
        Path(os.fsdecode(path)).mkdir()
        names = chance.sample(NAMES, 7 if depth == 5 else 4)
        self.folders[path] = [path + b"/" + name for name in names]
        for number, child in enumerate(self.folders[path]):
            if depth and number < 2:
                self._grow(child, depth - 1, chance)
            else:
                Path(os.fsdecode(child)).write_bytes(b"")

    def walk(self, path: bytes, enters: Callable[[bytes], bool]) -> Iterator[bytes]:
        """All paths below, but what is in folders that are not entered."""
        for child in self.folders[path]:
            yield child
            if child in self.folders and enters(child):
                yield from self.walk(child, enters)

    def accepted(self, excludes: Excludes) -> set[str]:
        """What a backup of the tree saves below its root, as restic shows it."""
        enters = lambda path: not excludes.rejects(path)  # noqa: E731
        return {shown(path) for path in self.walk(self.root, enters) if enters(path)}

    def run(self, restic: Path, *arguments: bytes) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.repository), "RESTIC_PASSWORD": "x"}
        command = [os.fsencode(restic), b"--no-cache", b"-r", os.fsencode(self.repository), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)

    def saved(self, restic: Path, *options: bytes) -> set[str] | None:
        """What restic would save of the tree; None where it refuses a pattern."""
        run = self.run(restic, b"backup", b"--dry-run", b"--force", b"--json", b"--verbose=2", *options, self.root)
        return self._listed(run, "new")

    def restored(self, restic: Path, *options: bytes) -> set[str] | None:
        """What restic would restore of the tree; None where it refuses a pattern."""
        common = [b"--dry-run", b"--json", b"--verbose=2", b"--target", os.fsencode(self.repository / "nowhere")]
        return self._listed(self.run(restic, b"restore", b"latest", *common, *options), "restored")

    def _listed(self, run: subprocess.CompletedProcess[str], action: str) -> set[str] | None:
        if run.returncode:
            assert "invalid pattern" in run.stdout + run.stderr, run
            return None
        messages = [json.loads(line) for line in run.stdout.splitlines() if line]
        items = {each["item"].rstrip("/") for each in messages if each.get("action") == action}
        return {item for item in items if item.startswith(shown(self.root) + "/")}


@pytest.fixture(scope="module")
def tree() -> Iterator[Tree]:
    """One for all examples."""
    with tempfile.TemporaryDirectory(prefix="a") as name:
        yield Tree(Path(name))


def shown(path: bytes) -> str:
    """As Go shows bytes that are not UTF-8: each as U+FFFD."""
    return "".join(
        "\ufffd" if "\udc80" <= each <= "\udcff" else each for each in path.decode(errors="surrogateescape")
    )


@st.composite
def pattern_lists(draw: st.DrawFn, root: bytes) -> list[bytes]:
    """Patterns that often match something of the tree, in all their forms; rarely a malformed one."""
    glob = st.lists(st.sampled_from(ATOMS), min_size=1, max_size=4).map(b"".join)
    component = st.one_of(st.sampled_from(NAMES), glob, glob, st.just(b"**"), st.just(b"*"), st.just(b".."))
    patterns = []
    for _ in range(draw(st.integers(1, 4))):
        parts = draw(st.lists(component, min_size=1, max_size=6))
        start = draw(st.sampled_from([b"", b"", b"/", b"/**/", root + b"/", root + b"/", b"/*/*/*/"]))
        patterns.append(draw(st.sampled_from([b"", b"", b"", b"!"])) + start + b"/".join(parts))
    if draw(st.integers(0, 9)) == 0:
        patterns.append(draw(st.sampled_from(BROKEN)))
    return patterns


@settings(max_examples=50)
@given(st.data())
def test_excludes_are_those_of_restic(tree: Tree, data: st.DataObject) -> None:
    """What patterns leave out of a backup is what restic leaves out, old and new, with and without regard to case."""
    heeding = data.draw(pattern_lists(tree.root))
    ignoring = data.draw(st.one_of(st.just([]), pattern_lists(tree.root)))
    options = [b"--exclude=" + each for each in heeding] + [b"--iexclude=" + each for each in ignoring]
    try:
        excludes = Excludes(heeding, ignoring)
    except UsageError as error:
        assert "malformed" in str(error)
        expected = None
    else:
        expected = tree.accepted(excludes)
    assert tree.saved(newest_restic(), *options) == expected
    if expected is not None and Excludes(heeding, ignoring).rejects(tree.root):
        expected = set()  # what was named to be saved is saved by newer versions alone
    assert tree.saved(restic_of_debian(), *options) == expected


@settings(max_examples=30)
@given(st.data())
def test_includes_are_those_of_restic(tree: Tree, data: st.DataObject) -> None:
    """What patterns pick for a restore is what restic picks, and no folder is passed by that has some of it."""
    option, ignore_case = data.draw(st.sampled_from([(b"--include=", False), (b"--iinclude=", True)]))
    patterns = data.draw(pattern_lists(tree.root))
    try:
        includes = Includes((), patterns) if ignore_case else Includes(patterns)
    except UsageError:
        expected = None
    else:
        above = tree.root.split(b"/")
        above_root = [b"/".join(above[:depth]) for depth in range(2, len(above) + 1)]
        paths = tree.walk(tree.root, includes.may_select_in) if all(map(includes.may_select_in, above_root)) else []
        expected = {shown(path) for path in paths if path not in tree.folders and includes.selects(path)}
    found = tree.restored(newest_restic(), *(option + each for each in patterns))
    folders = {shown(path) for path in tree.folders}
    assert (None if found is None else found - folders) == expected


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*.o", "/src/a.o", True),
        ("*.o", "/src/a.o/in/it", True),
        ("*.o", "/src/a.oo", False),
        ("src/*.o", "/usr/src/a.o", True),
        ("/src/*.o", "/usr/src/a.o", False),
        ("/src", "/src", True),
        ("/src", "/srcs", False),
        ("/", "/src", True),
        ("/src/", "/src/a", True),
        ("/src/./b/../a", "/src/a", True),
        ("src/**/a", "/src/a", True),
        ("src/**/a", "/src/b/c/a", True),
        ("src/**/a", "/a/src", False),
        ("/src/**", "/src", True),
        ("/a/**/b/**", "/a/b", False),
        ("/a/**/b/**", "/a/b/c", True),
        ("**/a/**/b/**", "/a/b", False),
        ("?", "/é", True),
        ("??", "/é", False),
        ("*[^é]", "/é", True),
        ("[a-c]", "/b", True),
        ("[^a-c]", "/b", False),
        ("[b-a]", "/a", False),
        ("[^b-a]", "/a", True),
        (r"\*", "/*", True),
        (r"\*", "/a", False),
        ("a\n", "/a\n", True),
        ("a", "/a\n", False),
    ],
)
def test_patterns(pattern: str, path: str, matches: bool) -> None:
    """The language, by example."""
    assert Filter([pattern.encode()]).matches(path.encode()) is matches


@pytest.mark.parametrize(
    ("patterns", "folder", "may"),
    [
        (["/a/b/c"], "/a", True),
        (["/a/b/c"], "/a/b", True),
        (["/a/b/c"], "/a/c", False),
        (["/a/b"], "/a/b/c", True),
        (["/a/*/c"], "/a/b/c/d", True),
        (["/a/**/c"], "/a/x/y", True),
        (["/a/**/c"], "/b", False),
        (["c"], "/a", True),
        (["c", "!/a"], "/a", False),
        ([], "/a", False),
        (["/a"], "/", True),
    ],
)
def test_where_to_look(patterns: list[str], folder: str, may: bool) -> None:
    """A folder that holds nothing of what is wanted is not looked into."""
    assert Filter(map(str.encode, patterns)).child_may_match(folder.encode()) is may


def test_the_last_pattern_decides() -> None:
    """`!` takes back, and a later pattern takes again."""
    kept = Filter([b"*.o", b"!keep.o", b"/tmp", b""])
    assert [kept.matches(path) for path in (b"/a.o", b"/keep.o", b"/tmp/keep.o")] == [True, False, True]


def test_case() -> None:
    """Characters are compared in lower case, one by one, as Go has it."""
    assert lower("/ÄİΣ\U00010400".encode()) == "/äiσ\U00010428".encode()
    assert lower(b"/A\xff\xe2\x82") == "/a\ufffd\ufffd\ufffd".encode()
    assert Filter([b"*.JPG"], ignore_case=True).matches(b"/a/b.jpg")
    assert Includes([], [b"*.JPG"]).selects(b"/a/b.jpG")
    assert not Includes([b"*.JPG"]).selects(b"/a/b.jpg")


@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from(ATOMS + BROKEN)), max_size=5), st.binary())
@example([b"*a*a*a*a*a*a*a*a*a*a*b"], b"a" * 5000)
@example([b"?*?*?*?*?*?*?*[^a]"], "é".encode() * 2000)
def test_any_pattern_any_path(patterns: list[bytes], name: bytes) -> None:
    """Whatever the bytes, there is an answer, or the sentence that a pattern is malformed; and it comes soon."""
    path = b"/" + b"/".join(part for part in name.split(b"/") if part)
    try:
        wanted = Filter(patterns)
        folded = Filter(patterns, ignore_case=True)
    except UsageError as error:
        assert "is malformed: " in str(error)
        return
    assert wanted.matches(path) in (True, False)
    assert wanted.child_may_match(path) in (True, False)
    assert folded.matches(path) in (True, False)


def test_a_malformed_pattern_is_named() -> None:
    """With what is wrong with it."""
    with pytest.raises(UsageError, match=r'^the pattern "a/\[b" is malformed: "\[" has no "\]"$'):
        Filter([b"c", b"a/[b"])
    for ignore_case in (False, True):
        with pytest.raises(UsageError, match="what is not UTF-8"):
            Filter([b"[\xff]"], ignore_case=ignore_case)


def test_files_of_patterns(tree: Tree, tmp_path: Path) -> None:
    """Space and comments go, variables are filled in; restic reads the same."""
    root = tree.root
    content = b"\n".join(
        [
            b"# comment",
            b"",
            b" \t" + root + b"/a\xff \r",
            "\u00a0$ROOT/b\u3000".encode(),
            b"${ROOT}/ab",
            b"$ROOT/$$a",
            b"$ROOT/x.$NONE",
            b"${}nothing",
            b"${open",
            b"$",
            b"a$/b",
            b"$*x$0",
        ]
    )
    environment = {b"ROOT": root}
    patterns = parse_pattern_file(content, environment, "f")
    below = [b"/a\xff", b"/b", b"/ab", b"/$a", b"/x."]
    assert patterns == [*(root + name for name in below), b"nothing", b"open", b"$", b"a$/b", b"x"]
    for encoding in ("utf-8-sig", "utf-16"):
        assert parse_pattern_file("é\r\n*.o".encode(encoding), {}, "f") == ["é".encode(), b"*.o"]
    file = tmp_path / "patterns"
    file.write_bytes(content.replace(b"$ROOT", root).replace(b"${ROOT}", root))
    excludes = Excludes(patterns)
    expected = tree.accepted(excludes)
    assert len(expected) < sum(map(len, tree.folders.values()))
    for restic in every_restic():
        assert tree.saved(restic, b"--exclude-file=" + os.fsencode(file)) == expected


@given(st.binary(), st.dictionaries(st.sampled_from([b"A", b"$", b"1"]), st.binary(max_size=3)))
def test_any_file_of_patterns(content: bytes, environment: dict[bytes, bytes]) -> None:
    """Any bytes are patterns."""
    assert all(isinstance(each, bytes) for each in parse_pattern_file(content, environment, "f"))


def test_a_line_that_is_too_long() -> None:
    """Is refused with its number."""
    with pytest.raises(UsageError, match=r"^f, line 2: "):
        parse_pattern_file(b"a\n" + b"b" * MAX_LINE, {}, "f")


def test_marks_of_folders() -> None:
    """A name, and what the file begins with; the mark of caches is the standard's."""
    assert Mark.parse(b".nobackup") == Mark(b".nobackup")
    assert Mark.parse(b"TAG:a:b") == Mark(b"TAG", b"a:b")
    assert Mark(b"TAG").fits(b"")
    assert CACHE_MARK.fits(b"Signature: 8a477f597d28d172789f06886806bc55\n# made by it"[: len(CACHE_MARK.header)])
    assert not CACHE_MARK.fits(b"Signature: 8a477f597d28d172789f06886806bc5")
    for text in (b"", b":header"):
        with pytest.raises(UsageError, match="NAME:HEADER"):
            Mark.parse(text)
