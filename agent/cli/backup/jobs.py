"""Jobs of the configuration, as if their tables had been given as options."""

from __future__ import annotations

import argparse
import copy
import os
import shlex
from collections.abc import Mapping
from difflib import get_close_matches

from agent import credentials
from agent.cli.backup.options import PREFIXES, Environment
from agent.config.backup_jobs import load_backup_jobs
from agent.config.backups import BackupOptions
from agent.paths import configuration_file
from kit.errors import HostwardError, UsageError
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
    hidden = {prefix + variable for prefix in PREFIXES for variable in _ACCESS}
    environment = Environment({key: value for key, value in options.environment.items() if key not in hidden})
    if job.environment_file is not None:
        environment.update(read_environment(job.environment_file))
    environment["HOSTWARD_REPOSITORY"] = job.repository
    if not (options.password_file or options.password_command or options.insecure_no_password):
        if job.password_file is not None:
            environment["HOSTWARD_PASSWORD"] = credentials.read_secret(job.password_file)
        elif job.password_command:
            environment["HOSTWARD_PASSWORD_COMMAND"] = shlex.join(job.password_command)
    options.environment = environment
    if options.compression is None:
        options.compression = job.compression
    if options.pack_size is None:
        options.pack_size = str(job.pack_size >> 20)
    if options.limit_upload is None and job.limit_upload is not None:
        options.limit_upload = max(1, job.limit_upload >> 10)
    if options.limit_download is None and job.limit_download is not None:
        options.limit_download = max(1, job.limit_download >> 10)
    options.retry_lock = options.retry_lock or float(job.retry_lock)
    options.cacert = options.cacert or job.cacert
    options.no_extra_verify |= not job.extra_verify


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
    options.tag = [*job.tags, *options.tag]
    options.host = options.host or job.host or None
    options.read_concurrency = options.read_concurrency or job.read_concurrency
    for flag in ("ignore_inode", "ignore_ctime", "with_atime", "skip_if_unchanged"):
        setattr(options, flag, getattr(options, flag) or getattr(job, flag))
    options.watched = name if job.watch else None
    return options


def read_environment(place: str) -> dict[str, str]:
    """The variables in a file or a credential: a line `NAME=VALUE` each, empty ones and those with # left out.

    A value may stand in quotes. Raises SecretError, and HostwardError for another line; neither holds any of it.
    """
    found = {}
    for number, line in enumerate(credentials.read_secret(place).splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        name, value = name.strip(), value.strip()
        if not equals or not name.isidentifier() or "\0" in value:
            raise HostwardError(f"{clean(place)}:{number}: expected NAME=VALUE")
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        found[name] = value
    return found


def _near(name: str, jobs: Mapping[str, BackupOptions]) -> str:
    if near := get_close_matches(name, jobs, n=1):
        return f"; did you mean the job {literal(near[0])}?"
    return f"; there are the jobs {', '.join(jobs)}" if jobs else "; no job is configured"
