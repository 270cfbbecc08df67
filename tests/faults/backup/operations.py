"""Everything that changes repositories."""

from __future__ import annotations

from pathlib import Path

from backup.errors import WrongPasswordError
from backup.maintain.prune import PruneOptions, prune
from backup.maintain.prune_plan import PruneRules
from backup.select.sizes import Share
from backup.stores.contract import FileKind
from tests.faults.backup.ground import HOST, NEW, PASSWORD, SECOND, checked, names, opened, tree_at
from tests.faults.backup.trial import Operation, Trial

_BACKUP = ("run", "{source}", "--host", HOST, "--read-concurrency", "1")
_FORGET = ("forget", "--keep-last", "1", "--group-by", "host")


def _has_saved(trial: Trial, source: Path) -> bool:
    """Whether the newest snapshot has all of a folder as it is."""
    base, there = trial.operation.base, names(trial.ground.top / trial.operation.base, FileKind.SNAPSHOT)
    new = [snapshot for snapshot in trial.snapshots() if snapshot.id not in there]
    return bool(new) and tree_at(trial.changed, new[-1].id, source) == trial.ground.tree(base, source)


def _newest(trial: Trial) -> set[str]:
    return {list(trial.ground.contents)[-1]}


def _is_forgotten(trial: Trial) -> bool:
    return names(trial.changed, FileKind.SNAPSHOT) == _newest(trial)


def _is_pruned(trial: Trial) -> bool:
    return prune(opened(trial.changed), PruneOptions(PruneRules(Share(0)), dry_run=True)).plan.idle


def _opens(trial: Trial, password: str) -> bool:
    try:
        opened(trial.changed, password)
    except WrongPasswordError:
        return False
    return True


def _is_copied(trial: Trial) -> bool:
    return {snapshot.original for snapshot in trial.snapshots()} == set(trial.ground.contents)


def _originals(trial: Trial) -> set[str]:
    """Each snapshot, or the one that came into its place."""
    there = {snapshot.original or snapshot.id: snapshot.id for snapshot in trial.snapshots()}
    there |= {snapshot.id: snapshot.id for snapshot in trial.snapshots()}
    return {there.get(name, name) for name in trial.ground.contents}


def _is_rewritten(trial: Trial) -> bool:
    snapshots = trial.snapshots()
    return {snapshot.original for snapshot in snapshots} == set(trial.ground.contents)


def _is_sound(trial: Trial) -> bool:
    return checked(trial.changed).sound


OPERATIONS = {
    "first backup": Operation(
        _BACKUP, base="empty", reached=lambda trial: _has_saved(trial, trial.ground.source), keeps=lambda trial: set()
    ),
    "backup": Operation(_BACKUP, reached=lambda trial: _has_saved(trial, trial.ground.source)),
    "backup of known folders": Operation(
        ("run", "{known}", "--host", HOST, "--read-concurrency", "1"),
        base="known",
        reached=lambda trial: _has_saved(trial, trial.ground.known),
        keeps=lambda trial: names(trial.ground.top / "known", FileKind.SNAPSHOT),
        cached=True,
    ),
    "forget": Operation(_FORGET, reached=_is_forgotten, keeps=_newest),
    "forget and prune": Operation(
        (*_FORGET, "--prune", "--max-unused", "0"),
        reached=lambda trial: _is_forgotten(trial) and _is_pruned(trial),
        keeps=_newest,
        then=("prune", "--max-unused", "0"),
    ),
    "prune": Operation(("prune", "--max-unused", "0"), reached=_is_pruned),
    "key add": Operation(
        ("key", "add", "--new-password-file", "{ground}/password-new"), reached=lambda trial: _opens(trial, NEW)
    ),
    "key remove": Operation(("key", "remove", "{key}"), reached=lambda trial: not _opens(trial, SECOND)),
    "key passwd": Operation(
        ("key", "passwd", "--new-password-file", "{ground}/password-new"),
        reached=lambda trial: _opens(trial, NEW) and not _opens(trial, SECOND),
        password=SECOND,
    ),
    "copy": Operation(
        ("copy", "--from-repo", "{place}", "--from-password-file", "{ground}/password-one"),
        reached=_is_copied,
        keeps=lambda trial: set(),
        into_other=True,
    ),
    "rewrite": Operation(("rewrite", "--forget", "--exclude", "file0"), reached=_is_rewritten, keeps=_originals),
    "repair index": Operation(("repair", "index"), base="unindexed", reached=_is_sound, sound=False),
    "repair packs": Operation(("repair", "packs", "{torn}"), base="torn", reached=_is_sound, sound=False),
    "repair snapshots": Operation(
        ("repair", "snapshots", "--forget"), base="lossy", reached=_is_sound, keeps=_originals, sound=False
    ),
}

assert PASSWORD not in (SECOND, NEW)
