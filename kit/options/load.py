"""Files in, one typed struct out, or one error that holds every mistake in all of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic

from kit.errors import ConfigurationError
from kit.options.decode import Chooser, S, decode
from kit.options.tree import Mistake, Place, Tree, UnreadableError, listing, merge, read


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """`value` is what the files say; `tree` knows where they say it; `files` are those that were there."""

    value: S
    tree: Tree
    files: tuple[Path, ...]


class MistakesError(ConfigurationError):
    """All that is wrong: a line of the message for each of `mistakes`."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(map(str, mistakes)))
        self.mistakes = mistakes


def load(
    struct: type[S],
    file: Path,
    *,
    folder: Path | None = None,
    must_exist: bool = False,
    choosers: Mapping[type, Chooser] | None = None,
    tables: Sequence[str] | None = None,
    joined: Collection[str] = (),
) -> Loaded[S]:
    """Read `file`, then each `*.toml` in `folder` by name, merge (a later one over an earlier) and decode.

    A file that is not there is an empty one, unless `file` `must_exist`. With `tables` the others are not looked at.
    Arrays at the top that are `joined` are those of all files, one after the other.
    Raises MistakesError, with the mistakes in the order of the files.
    """
    trees: list[Tree] = []
    there: list[Path] = []
    unread: list[Mistake] = []
    files = [file]
    if folder is not None:
        try:
            files += listing(folder)
        except UnreadableError as error:
            unread.append(error.mistake)
    for path in files:
        try:
            trees.append(read(path))
        except UnreadableError as error:
            unread.append(error.mistake)
        except FileNotFoundError:
            if path == file and must_exist:
                unread.append(Mistake(Place(str(file), 0), (), "there is no such file"))
            continue
        there.append(path)
    if tables is not None:
        trees = [
            Tree({name: tree.values[name] for name in tables if name in tree.values}, tree.places) for tree in trees
        ]
    tree, mistakes = merge(trees, joined=joined)
    value, more = decode(struct, tree, choosers)
    # A broken file may hold just the key that a table lacks here.
    mistakes += unread + [mistake for mistake in more if not (unread and mistake.lacking)]
    if value is None or mistakes:
        raise MistakesError(_in_order(mistakes, files))
    return Loaded(value, tree, tuple(there))


def _in_order(mistakes: Sequence[Mistake], files: Sequence[Path]) -> list[Mistake]:
    order = {str(file): number for number, file in enumerate(files)}

    def rank(mistake: Mistake) -> tuple[int, int]:
        place = mistake.place or Place("", 0)
        return order.get(place.file, -1), place.line

    return sorted(mistakes, key=rank)
