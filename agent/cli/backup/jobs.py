"""Jobs of the configuration, as if their tables had been given as options."""

from __future__ import annotations

import argparse
import copy
import os
import shlex
from collections.abc import Mapping
from difflib import get_close_matches

from agent import credentials
from agent.backups.job.rates import rate_of
from agent.backups.job.tags import tag_of
from agent.cli.backup.options import PREFIXES, Environment
from agent.config.backup_jobs import load_backup_jobs
from agent.config.backups import BackupOptions
from agent.config.repositories import Access
from agent.paths import configuration_file
from kit.errors import UsageError
from kit.options.words import literal
from kit.terminal import clean

_ACCESS = ("REPOSITORY", "REPOSITORY_FILE", "PASSWORD", "PASSWORD_FILE", "PASSWORD_COMMAND", "KEY_HINT")


def all_jobs(options: argparse.Namespace) -> dict[str, BackupOptions]:
    """By name. Raises ConfigurationError."""
    file, named = configuration_file(options.config)
    return load_backup_jobs(file, must_exist=named)


def find_job(options: argparse.Namespace, name: str) -> BackupOptions:
    """Raises ConfigurationError, and UsageError for one that there is not."""
    jobs = all_jobs(options)
    if name not in jobs:
        raise UsageError(f'there is no backup job "{clean(name)}"{_near(name, jobs)}')
    return jobs[name]


def jobs_among(options: argparse.Namespace, words: list[str]) -> dict[str, BackupOptions]:
    """The jobs that `run` was told to run, by name; none where it was told paths.

    A word without `/` is a job if there is one of that name, else a path. Raises ConfigurationError, and UsageError
    for words of both kinds and for one that is neither.
    """
    plain = [word for word in words if "/" not in word]
    if not plain:
        return {}
    file, named = configuration_file(options.config)
    if not named and os.access(file, os.F_OK) and not os.access(file, os.R_OK):
        return {}  # somebody who may not read the host's configuration has no jobs in it
    jobs = load_backup_jobs(file, must_exist=named)
    for word in plain:
        if word not in jobs and not os.path.lexists(word):
            raise UsageError(f'"{clean(word)}" is neither a backup job nor a path that exists{_near(word, jobs)}')
    found = {word: jobs[word] for word in plain if word in jobs}
    if found and len(found) != len(set(words)):
        path = next(word for word in words if word not in found)
        job = next(iter(found))
        raise UsageError(
            f'"{job}" is a backup job and "{clean(path)}" a path: expected the one or the other (./{job} is a path)'
        )
    return found


def use_access(options: argparse.Namespace, name: str, job: BackupOptions) -> None:
    """Let options and environment name the job's repository, its password, and how to go about them.

    What the command line says outweighs it; other variables of the environment do not. Raises SecretError,
    and HostwardError for a file of credentials that is none.
    """
    use_repository(options, job)
    if options.compression is None:
        options.compression = job.compression
    if options.pack_size is None:
        options.pack_size = str(job.pack_size >> 20)
    if options.limit_upload is None:
        options.limit_upload = rate_of(job, "upload")
    if options.limit_download is None:
        options.limit_download = rate_of(job, "download")
    options.retry_lock = options.retry_lock or float(job.retry_lock)
    options.no_extra_verify |= not job.extra_verify


def use_repository(options: argparse.Namespace, place: Access) -> None:
    """The same of a repository alone, be it a job's own or one of its copies."""
    hidden = {prefix + variable for prefix in PREFIXES for variable in _ACCESS}
    environment = Environment({key: value for key, value in options.environment.items() if key not in hidden})
    if place.environment_file is not None:
        environment.update(credentials.read_environment(place.environment_file))
    environment["HOSTWARD_REPOSITORY"] = place.repository
    if not (options.password_file or options.password_command or options.insecure_no_password):
        if place.password_file is not None:
            environment["HOSTWARD_PASSWORD"] = credentials.read_secret(place.password_file)
        elif place.password_command:
            environment["HOSTWARD_PASSWORD_COMMAND"] = shlex.join(place.password_command)
    options.environment = environment
    options.cacert = options.cacert or place.cacert


def options_of_copy(options: argparse.Namespace, job: argparse.Namespace, place: Access) -> argparse.Namespace:
    """The options for one of a job's copies: `options` as the command was given them, `job` with all that the job
    says. Nothing that opens the job's own repository is among them. Raises as `use_access`.
    """
    found = copy.copy(job)
    found.environment = options.environment
    for name in ("repository", "repository_file", "password_file", "password_command", "key_hint", "cacert"):
        setattr(found, name, None)
    found.insecure_no_password = False
    found.watched = None
    use_repository(found, place)
    return found


def use_scope(options: argparse.Namespace, job: BackupOptions) -> None:
    """Leave out what the job leaves out, besides what the command line does."""
    options.exclude = [*job.exclude, *options.exclude]
    options.iexclude = [*job.iexclude, *options.iexclude]
    options.exclude_file = [*job.exclude_files, *options.exclude_file]
    options.iexclude_file = [*job.iexclude_files, *options.iexclude_file]
    options.exclude_if_present = [*map(os.fsencode, job.exclude_if_present), *options.exclude_if_present]
    options.exclude_caches |= job.exclude_caches
    options.one_file_system |= job.one_file_system
    if options.exclude_larger_than is None and job.exclude_larger_than is not None:
        options.exclude_larger_than = int(job.exclude_larger_than)


def options_of_job(options: argparse.Namespace, name: str, job: BackupOptions) -> argparse.Namespace:
    """The options of `run`, with all that the job says. Raises as `use_access`."""
    options = copy.copy(options)
    use_access(options, name, job)
    use_scope(options, job)
    options.paths = list(job.paths)
    options.tag = [*job.tags, tag_of(name), *options.tag]
    options.host = options.host or job.host or None
    options.read_concurrency = options.read_concurrency or job.read_concurrency
    for flag in ("ignore_inode", "ignore_ctime", "with_atime", "skip_if_unchanged"):
        setattr(options, flag, getattr(options, flag) or getattr(job, flag))
    options.watched = name if job.watch else None
    return options


def _near(name: str, jobs: Mapping[str, BackupOptions]) -> str:
    if near := get_close_matches(name, jobs, n=1):
        return f"; did you mean the job {literal(near[0])}?"
    return f"; there are the jobs {', '.join(jobs)}" if jobs else "; no job is configured"
