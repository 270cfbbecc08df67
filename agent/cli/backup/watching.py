"""What a run of a watched job does before and after: docs/backup.md, Watching."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from agent.backups.watch.client import Advice, Memory, advise, recall, remember
from agent.backups.watch.place import folder_of
from agent.backups.watch.scope import fingerprint_of
from agent.cli.backup.output import plural
from backup.archive.plan import Plan
from backup.archive.report import Outcome
from backup.archive.targets import absolute
from backup.errors import RepositoryError
from backup.repository.repository import Repository


@dataclass(frozen=True)
class Watching:
    """A run that has asked its watcher."""

    plan: Plan
    advice: Advice
    job: str
    _file: Path
    _repository: str
    _fingerprint: str

    @classmethod
    def begin(
        cls, repository: Repository, plan: Plan, job: str, cache: Path, environment: Mapping[str, str]
    ) -> Watching | None:
        """Ask, before anything is looked at. `cache` is where the run keeps what folders were.

        None where what the run before found does not count.
        """
        if plan.force or plan.parent or plan.with_atime or plan.dry_run:
            return None
        file = cache.with_name(f"watch-{job}.json")
        memory = recall(file)
        if memory is not None and not _is_there(repository, memory):
            memory = None
        fingerprint = fingerprint_of([absolute(target) for target in plan.targets], plan.scope)
        advice = advise(
            memory,
            repository=repository.config.id,
            fingerprint=fingerprint,
            folder=folder_of(job, environment),
            now=time.time(),
        )
        plan = replace(plan, parent=advice.parent)
        return cls(plan, advice, job, file, repository.config.id, fingerprint)

    @property
    def said(self) -> str:
        """For people."""
        if self.advice.changed is None:
            starts = (
                "" if self.advice.is_answered else f"; `systemctl start hostward-backup-watch@{self.job}` starts one"
            )
            return f"scanning everything: {self.advice.reason}{starts}"
        return f"scanning {plural(len(self.advice.changed), 'folder')} in which something changed, or below"

    def end(self, outcome: Outcome) -> None:
        """Keep for the next run what it needs to know, now that the snapshot is written."""
        if outcome.snapshot.id and self.advice.token:
            remember(
                self._file,
                Memory(
                    repository=self._repository,
                    fingerprint=self._fingerprint,
                    snapshot=outcome.snapshot.id,
                    token=self.advice.token,
                    scanned=self.advice.scanned,
                ),
            )


def _is_there(repository: Repository, memory: Memory) -> bool:
    try:
        repository.load_snapshot(memory.snapshot)
    except RepositoryError:
        return False
    return True
