"""One host: an overlay over the shared layers, a systemd of its own in it, and ssh to it."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.fleet import cgroups
from tests.fleet.command import FleetError, command
from tests.fleet.layers import mount, unmount

READY = 90.0
"""Seconds that a boot may take on a machine with other things to do; it takes two on an idle one."""
REBOOTED = 133
"""How nspawn ends when its host wants to be started again."""
NETWORK = """\
[Match]
Name=host0

[Network]
Address={address}/24
LinkLocalAddressing=no
IPv6AcceptRA=no
"""


@dataclass
class Host:
    """A host that runs, with the agent installed but neither enrolled nor started."""

    name: str
    """Its host name."""
    address: str
    """Where it is reached from this machine, which it reaches at the fleet's address; there is nothing else."""
    folder: Path
    """What belongs to it on this machine. `changes` in it is what it wrote."""
    bridge: str
    key: Path
    """The key that opens it, for root."""
    machine: str
    """Its name among the containers of this machine."""
    _process: subprocess.Popen[bytes] | None = None
    _keeper: threading.Thread | None = None
    _stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def root(self) -> Path:
        """Its file system, as this machine sees it."""
        return self.folder / "root"

    @property
    def known_hosts(self) -> Path:
        """For ssh: the host's own key."""
        return self.folder / "known_hosts"

    @property
    def ssh(self) -> list[str]:
        """The command that opens a shell on it."""
        return ["ssh", "-F", "none", "-i", str(self.key), *self._options(), f"root@{self.address}"]

    def run(
        self,
        words: Sequence[str] | str,
        *,
        check: bool = True,
        input: str | None = None,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program, or a line for the shell when `words` is text, as root on the host.

        Raises AssertionError with what it said when `check` and its exit code is not 0, and
        subprocess.TimeoutExpired after `timeout` seconds.
        """
        line = words if isinstance(words, str) else shlex.join(words)
        shared = ["-o", "ControlMaster=auto", "-o", f"ControlPath={self._control}", "-o", "ControlPersist=30"]
        done = subprocess.run(
            [*self.ssh[:-1], *shared, self.ssh[-1], line],
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{self.name}: {line}\nended with {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file of root's, with the folders above it."""
        place = shlex.quote(path)
        self.run(f'mkdir -p "$(dirname {place})" && install -m {mode:o} /dev/stdin {place}', input=text)

    def read(self, path: str) -> str:
        """The text of a file."""
        return self.run(["cat", path]).stdout

    def boot_id(self) -> str:
        """The kernel's name for this boot, as the host sees it."""
        return self.read("/proc/sys/kernel/random/boot_id").strip()

    def reboot(self) -> None:
        """Shut it down in order and start it again; returns when it can be reached."""
        before = self.boot_id()
        self.run("systemctl reboot", check=False)
        self._await(lambda: self.boot_id() != before)

    def start(self, layers: list[Path]) -> None:
        """Make it over the layers, and switch it on; `wait` tells when it is there."""
        root = self.root
        mount(layers, self.folder, root)
        (root / "etc/hostname").write_text(f"{self.name}\n")
        (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n{self.address} {self.name}\n")
        (root / "etc/systemd/network").mkdir(parents=True, exist_ok=True)
        (root / "etc/systemd/network/10-host0.network").write_text(NETWORK.format(address=self.address))
        (root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
        shutil.copy(self.key.with_suffix(".pub"), root / "root/.ssh/authorized_keys")
        own = root / "etc/ssh/ssh_host_ed25519_key"
        command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", str(own))
        kind, text, _ = own.with_suffix(".pub").read_text().split()
        self.known_hosts.write_text(f"{self.address} {kind} {text}\n")
        self._switch_on()
        self._keeper = threading.Thread(target=self._keep, name=self.machine, daemon=True)
        self._keeper.start()

    def wait(self) -> None:
        """Until it can be reached. Raises FleetError when it does not come up."""
        self._await(lambda: self.run("true", check=False).returncode == 0)

    def stop(self) -> None:
        """Switch it off as a power cut does, and remove all that it was."""
        self._stopping.set()
        remove(self.folder)
        if self._keeper is not None:
            self._keeper.join()

    @property
    def _control(self) -> Path:
        return self.folder / "ssh"

    def _options(self) -> list[str]:
        options = {
            "UserKnownHostsFile": str(self.known_hosts),
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
            "LogLevel": "ERROR",
            "ConnectTimeout": "10",
            "ServerAliveInterval": "5",
        }
        return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]

    def _switch_on(self) -> None:
        words = [
            "systemd-nspawn",
            "--quiet",
            f"--directory={self.root}",
            f"--machine={self.machine}",
            "--boot",
            "--register=no",
            "--keep-unit",
            f"--network-bridge={self.bridge}",
            "--console=pipe",
        ]
        # One of this name that was killed may have left its end of the wire, for a moment.
        wire = f"vb-{self.machine}"
        if Path("/sys/class/net", wire).exists():
            subprocess.run(["ip", "link", "delete", wire], capture_output=True, check=False)
        groups = cgroups.make(self.machine)
        (self.folder / "groups").write_text("\n".join(map(str, groups)))
        with (self.folder / "console").open("ab") as console:
            self._process = subprocess.Popen(
                ["sh", "-e", "-c", cgroups.joining(groups) + f"exec {shlex.join(words)}"],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )

    def _keep(self) -> None:
        """Start it again when it asks for that: nspawn itself only does so for containers that it registered."""
        assert self._process is not None
        while self._process.wait() == REBOOTED and not self._stopping.is_set():
            switch_off(self.folder)
            self._switch_on()
        if self._stopping.is_set():
            # It may have been on its way up when it was to be gone.
            switch_off(self.folder)
            self._process.wait()

    def _await(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY
        while time.monotonic() < deadline:
            with suppress(AssertionError, subprocess.TimeoutExpired):
                if condition():
                    return
            time.sleep(0.1)
        said = (self.folder / "console").read_text(errors="replace")[-3000:]
        raise FleetError(f"{self.name} cannot be reached; its console says:\n{said}")


def switch_off(folder: Path) -> None:
    """End a host's processes, and the connection that `run` keeps open. Raises FleetError when they do not end."""
    if (folder / "ssh").exists():
        words = ["ssh", "-F", "none", "-o", f"ControlPath={folder / 'ssh'}", "-O", "exit", "host"]
        subprocess.run(words, capture_output=True, timeout=60)
    with suppress(FileNotFoundError):
        for group in (folder / "groups").read_text().split():
            cgroups.remove(Path(group))


def remove(folder: Path) -> None:
    """Remove what is left of a host, whoever started it: its processes, its groups, its mount and its files."""
    switch_off(folder)
    if (folder / "root").is_mount():
        unmount(folder / "root")
    shutil.rmtree(folder)
