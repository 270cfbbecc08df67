"""The watcher's process: it reads what the kernel tells, and answers runs on a socket for each job."""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import struct
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from agent.backups.watch.place import SOCKET
from agent.backups.watch.protocol import (
    MAX_QUESTION,
    Answer,
    ChangesSince,
    KeepKey,
    ProtocolError,
    Question,
    decode_question,
    encode_answer,
    encode_key,
)
from agent.backups.watch.watcher import Watched, Watcher
from agent.daemon.notify import Notifier
from agent.daemon.wake import Wake
from kit.errors import HostwardError
from kit.files import lock_folder

log = logging.getLogger(__name__)

REST = 0.1
"""Seconds between two readings of what the kernel tells: events that are the same become one meanwhile."""
PATIENCE = 5.0
"""Seconds for a question, and for taking the answer."""

Load = Callable[[str], Watched]
"""What a job says now. Raises HostwardError."""


class _Post:
    """A job's socket and its watcher."""

    def __init__(self, job: str, folder: Path, watched: Watched) -> None:
        self.job = job
        self.watched = watched
        self.watcher = Watcher(watched)
        self.kept = b""
        """A key that a run has left for the next one; only runs can open it."""
        self._folder, self.listener = _listen(job, folder)

    def close(self) -> None:
        self.watcher.close()
        self.listener.close()
        os.unlink(SOCKET, dir_fd=self._folder)
        os.close(self._folder)


def serve(places: Mapping[str, Path], load: Load, notifier: Notifier) -> None:
    """Watch jobs until SIGTERM, SIGINT or SIGHUP. `places` are the folders of their sockets.

    Raises HostwardError for a job that there is not, or one that another process watches.
    """
    with ExitStack() as stack:
        wake = Wake((signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
        stack.callback(wake.close)
        posts = []
        for job, folder in places.items():
            post = _Post(job, folder, load(job))
            stack.callback(post.close)
            posts.append(post)
        for post in posts:
            post.watcher.start()
            _tell(post)
        notifier.ready()
        while not wake.read():
            asked = _wait(wake, posts)
            if not asked:
                # The kernel told something. More may follow, but who asks need not wait.
                asked = _wait(wake, posts, rest=REST)
            for post in posts:
                post.watcher.take_note()
            for post in asked:
                _receive(post, load)
        notifier.stopping()


def _wait(wake: Wake, posts: list[_Post], *, rest: float | None = None) -> list[_Post]:
    """Those who are asked, none where it was something else; with `rest`, seconds, the kernel is not listened to."""
    with selectors.DefaultSelector() as selector:
        selector.register(wake, selectors.EVENT_READ)
        for post in posts:
            selector.register(post.listener, selectors.EVENT_READ, post)
            if rest is None and not post.watcher.lost:
                selector.register(post.watcher, selectors.EVENT_READ)
        return [key.data for key, _ in selector.select(rest) if key.data is not None]


def _listen(job: str, folder: Path) -> tuple[int, socket.socket]:
    """The folder, locked, and a socket in it. Raises HostwardError."""
    try:
        descriptor = lock_folder(folder, mode=0o700)
    except OSError as error:
        raise HostwardError(f"{folder}, where runs of {job} ask: {error.strerror}") from error
    if descriptor is None:
        raise HostwardError(f"another process watches {job} already")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if (folder / SOCKET).exists():
            os.unlink(SOCKET, dir_fd=descriptor)
        mask = os.umask(0o177)
        try:
            # By the open folder, since a socket's path may have 107 bytes at most.
            listener.bind(f"/proc/self/fd/{descriptor}/{SOCKET}")
        finally:
            os.umask(mask)
        listener.listen(8)
    except OSError as error:
        listener.close()
        os.close(descriptor)
        raise HostwardError(f"{folder}, where runs of {job} ask: {error.strerror}") from error
    return descriptor, listener


def _receive(post: _Post, load: Load) -> None:
    """Answer a question, unless it is none, or nobody who may ask."""
    connection, _ = post.listener.accept()
    with connection:
        try:
            user = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]
            if user not in (0, os.geteuid()):
                raise ProtocolError(f"user {user} may not ask")
            end = time.monotonic() + PATIENCE
            question = decode_question(_line(connection, end))
            answer = _answer(post, question, load)
            connection.settimeout(PATIENCE)
            connection.sendall(answer)
        except (ProtocolError, OSError) as error:
            log.warning("%s: a question was not answered: %s", post.job, error)


def _line(connection: socket.socket, end: float) -> bytes:
    """Raises ProtocolError, OSError."""
    line = b""
    while not line.endswith(b"\n"):
        connection.settimeout(max(0.001, end - time.monotonic()))
        more = connection.recv(MAX_QUESTION + 1 - len(line))
        if not more or len(line) + len(more) > MAX_QUESTION:
            raise ProtocolError(f"expected a line of at most {MAX_QUESTION} bytes")
        line += more
    return line


def _answer(post: _Post, question: Question, load: Load) -> bytes:
    if isinstance(question, ChangesSince):
        return encode_answer(_changes(post, question, load))
    if isinstance(question, KeepKey):
        post.kept = question.kept
    return encode_key(post.kept)


def _changes(post: _Post, question: ChangesSince, load: Load) -> Answer:
    if question.fingerprint != post.watched.fingerprint:
        # The configuration, or a file of patterns, is another than it was.
        try:
            watched = load(post.job)
        except HostwardError as error:
            return Answer(everything=f"the job cannot be read by its watcher: {error}")
        if watched.fingerprint != post.watched.fingerprint:
            post.watcher.close()
            post.watched, post.watcher = watched, Watcher(watched)
            post.watcher.start()
            _tell(post)
        if question.fingerprint != watched.fingerprint:
            return Answer(everything="what is to be saved is not what the job says")
    return post.watcher.answer(question.token)


def _tell(post: _Post) -> None:
    if post.watcher.lost:
        log.warning("%s is not watched: %s", post.job, post.watcher.lost)
    else:
        log.info("%s: watching %d folders", post.job, len(post.watcher))
