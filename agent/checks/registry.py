"""The names of all checks, imported on first use: a host loads only what it runs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from agent.checks.contract import Check

CHECKS: dict[str, str] = {
    "backup": "agent.checks.backup:BackupCheck",
    "certificate": "agent.checks.certificate:CertificateCheck",
    "command": "agent.checks.command:PluginCommand",
    "container": "agent.checks.container:ContainerCheck",
    "cpu": "agent.checks.cpu:Cpu",
    "disk": "agent.checks.disk:Disk",
    "disk_io": "agent.checks.disk_io:DiskIo",
    "dns": "agent.checks.dns:Dns",
    "drill": "agent.checks.drill:DrillCheck",
    "file": "agent.checks.file:File",
    "http": "agent.checks.http:Http",
    "log": "agent.checks.log:Log",
    "memory": "agent.checks.memory:Memory",
    "mysql": "agent.checks.mysql:Mysql",
    "network": "agent.checks.network:Network",
    "ntp": "agent.checks.ntp:Ntp",
    "postgresql": "agent.checks.postgresql:Postgresql",
    "pressure": "agent.checks.pressure:Pressure",
    "process": "agent.checks.process:Process",
    "rabbitmq": "agent.checks.rabbitmq:Rabbitmq",
    "redis": "agent.checks.redis:Redis",
    "remote_disk": "agent.checks.disk:RemoteDisk",
    "rotation": "agent.checks.rotation:Rotation",
    "sqlite": "agent.checks.sqlite:Sqlite",
    "systemd": "agent.checks.systemd:Systemd",
    "tcp": "agent.checks.tcp:Tcp",
    "textfile": "agent.checks.textfile:Textfile",
    "time": "agent.checks.timesync:Time",
    "updates": "agent.checks.updates:Updates",
}
"""Kind to `module:class`. A new check is its file, one line here, and its cases."""


def load(kind: str) -> type[Check[Any]]:
    """The class of a kind. Raises KeyError for a name that is not in CHECKS."""
    module, name = CHECKS[kind].split(":")
    found: type[Check[Any]] = getattr(import_module(module), name)
    return found
