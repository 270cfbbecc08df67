"""Who owns the agent's process: runs in place of the agent, in its unit, tries things, and writes down what worked.

It has the standard library and Debian's Python. `python attacker.py RESULT PID ADDRESS`: where to write, a process of
root's, and where an sshd listens.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
HOME = "/root"
SOCKET = "/run/hostward-jobs.sock"

CLONE_NEWUSER, CLONE_NEWNS = 0x10000000, 0x00020000
MS_BIND, AT_FDCWD, PTRACE_ATTACH = 4096, -100, 16
CAPSET, OPEN_BY_HANDLE_AT, BPF, INIT_MODULE, REBOOT, PERSONALITY = 126, 304, 321, 175, 169, 135
"""Numbers of system calls on x86-64, by which libc's own wrappers are passed over."""


def call(result: int) -> None:
    """What libc says; raises OSError for -1."""
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def syscall(number: int, *arguments: object) -> None:
    call(LIBC.syscall(number, *arguments))


def write(path: str) -> None:
    Path(path).write_text("[jobs.x]\ncommand = ['id']\n")


def append(path: str) -> None:
    with Path(path).open("ab"):
        pass


def read(path: str) -> None:
    with Path(path).open("rb") as file:
        file.read(1)


def run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise OSError(done.returncode, (done.stderr or done.stdout).strip()[:200])


def ask(request: bytes) -> None:
    """Raises OSError unless root's half ran something."""
    answer = b""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(30)
        link.connect(SOCKET)
        link.sendall(request)
        link.shutdown(socket.SHUT_WR) if not request.endswith(b"\n") else None
        with contextlib.suppress(ConnectionResetError):
            while chunk := link.recv(65536):
                answer += chunk
    if b"ran as uid=0" not in answer:
        raise OSError(1, answer.decode("latin-1")[-200:])


def capabilities() -> None:
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    every = (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6)
    syscall(CAPSET, header, every)


def by_handle() -> None:
    """Files of the host's file system by their numbers, past all mounts: needs CAP_DAC_READ_SEARCH."""
    handle = (ctypes.c_uint32 * 4)(8, 1, 2, 0)
    folder = os.open("/", os.O_RDONLY)
    syscall(OPEN_BY_HANDLE_AT, folder, handle, os.O_RDONLY)


def type_into_a_terminal() -> None:
    with open("/dev/tty1", "wb") as file:
        fcntl.ioctl(file, 0x5412, b"x")


def attempts(pid: int) -> dict[str, Callable[[], object]]:
    """By name, what each does."""
    found: dict[str, Callable[[], object]] = {}
    for path in (
        "/etc/hostward/agent.d/x.toml",
        "/etc/cron.d/x",
        "/etc/systemd/system/x.service",
        "/run/systemd/system/x.service",
        "/run/x",
        "/usr/local/bin/x",
        "/opt/hostward/current/bin/x",
        f"{HOME}/x",
        "/home/x",
        "/srv/x",
        "/boot/x",
        "/var/log/x",
        "/var/spool/cron/crontabs/root",
        "/proc/sys/kernel/core_pattern",
        "/proc/sysrq-trigger",
        "/sys/kernel/uevent_helper",
        "/sys/fs/cgroup/x",
        "/var/lib/hostward/x",
        "/dev/shm/x",
        "/run/hostward/x",
        "/tmp/x",
    ):
        found[f"write {path}"] = lambda path=path: write(path)
    for path in ("/etc/hostward/agent.toml", "/etc/passwd", "/usr/bin/env", SOCKET):
        found[f"append to {path}"] = lambda path=path: append(path)
    for path in (
        "/etc/shadow",
        "/etc/ssh/ssh_host_ed25519_key",
        f"{HOME}/.ssh/authorized_keys",
        "/etc/hostward/secret",
        "/proc/1/environ",
        "/proc/1/mem",
        f"/proc/{pid}/environ",
        f"/proc/{pid}/fd/0",
        "/proc/kcore",
        "/dev/kmsg",
        "/dev/mem",
        "/dev/vda",
        "/etc/passwd",
        "/etc/hostward/agent.toml",
    ):
        found[f"read {path}"] = lambda path=path: read(path)
    return found | {
        "remove the socket": lambda: Path(SOCKET).unlink(),
        "open the socket to everybody": lambda: Path(SOCKET).chmod(0o666),
        "change root's configuration's mode": lambda: Path("/etc/hostward/agent.toml").chmod(0o666),
        "signal init": lambda: os.kill(1, signal.SIGTERM),
        "signal a process of root's": lambda: os.kill(pid, 0),
        "trace init": lambda: call(LIBC.ptrace(PTRACE_ATTACH, 1, 0, 0)),
        "trace a process of root's": lambda: call(LIBC.ptrace(PTRACE_ATTACH, pid, 0, 0)),
        "take a descriptor of root's": lambda: syscall(438, os.pidfd_open(pid), 0, 0),
        "become root": lambda: os.setuid(0),
        "join root's group": lambda: os.setgroups([0]),
        "raise capabilities": capabilities,
        "sudo": lambda: run("sudo", "-n", "true"),
        "su": lambda: run("su", "-c", "true"),
        "a setuid program": lambda: run("passwd", "-d", "root"),
        "make a setuid program": lambda: (write("/tmp/s"), Path("/tmp/s").chmod(0o4755)),
        "a user namespace": lambda: call(LIBC.unshare(CLONE_NEWUSER)),
        "a mount namespace": lambda: call(LIBC.unshare(CLONE_NEWNS)),
        "mount": lambda: call(LIBC.mount(b"/etc", b"/tmp", None, MS_BIND, None)),
        "unmount": lambda: call(LIBC.umount2(b"/tmp", 2)),
        "chroot": lambda: os.chroot("/tmp"),
        "open by handle": by_handle,
        "load a program into the kernel": lambda: syscall(BPF, 0, 0, 0),
        "load a module": lambda: syscall(INIT_MODULE, 0, 0, 0),
        "reboot": lambda: syscall(REBOOT, 0xFEE1DEAD, 672274793, 0),
        "another personality": lambda: syscall(PERSONALITY, 0x0040000),
        "name the host": lambda: socket.sethostname("owned"),
        "set the clock": lambda: __import__("time").clock_settime(0, 0),
        "a device": lambda: os.mknod("/tmp/device", 0o20666, os.makedev(1, 1)),
        "a raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
        "a packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3),
        "a port of root's": lambda: socket.socket().bind(("127.0.0.1", 99)),
        "real time": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
        "type into a terminal": type_into_a_terminal,
        "leave its cgroup": lambda: Path("/sys/fs/cgroup/unified/cgroup.procs").write_text("0"),
        "stop a service": lambda: run("systemctl", "stop", "cron"),
        "start a unit": lambda: run("systemd-run", "--quiet", "id"),
        "edit its own unit": lambda: run("systemctl", "set-property", "hostward-agent", "MemoryMax=infinity"),
        "run a defined job": lambda: ask(b"job it\n"),
        "run a job that is not privileged": lambda: ask(b"job plain\n"),
        "run a job that is not defined": lambda: ask(b"job x\n"),
        "run a job with an argument": lambda: ask(b"job it --all\n"),
        "run a job with an environment": lambda: ask(b"job it LD_PRELOAD=/tmp/x\n"),
        "run two jobs": lambda: ask(b"job x\njob it\n"),
        "run a path": lambda: ask(b"job ../../tmp/x\n"),
        "run with options": lambda: ask(b"job it -p User=root\n"),
        "run a job as a check": lambda: ask(b"check it 0\n"),
        "connect over the network": lambda: socket.create_connection((sys.argv[3], 22), 5).close(),
    }


def main() -> None:
    """Try all of it, whatever each does."""
    worked, failed = [], {}
    for name, attempt in attempts(int(sys.argv[2])).items():
        child = os.fork()  # What one attempt changes of the process shall not change the next.
        if child == 0:
            code = 1
            try:
                attempt()
                code = 0
            except BaseException as error:
                Path(f"/tmp/why-{os.getpid()}").write_text(str(error))
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        if status == 0:
            worked.append(name)
        else:
            why = Path(f"/tmp/why-{child}")
            failed[name] = why.read_text() if why.exists() else f"status {status}"
    Path(sys.argv[1]).write_text(json.dumps({"worked": worked, "failed": failed}))


if __name__ == "__main__":
    main()
