"""An agent.toml to begin with: everything in it is commented out, and every line may be uncommented."""

from __future__ import annotations

import textwrap

import msgspec

from agent.config.schema import AgentOptions, HomeOptions, MetricsOptions
from kit.options.reference import description
from kit.options.words import default, expected, literal

_HEAD = """\
# The configuration of the Hostward agent. Nothing needs to stand here: checks that fit this host run by themselves.
# `hostward config reference` explains every option, `hostward config check` tells whether this file is right, and
# a running agent takes a valid change over at once."""

_NAMED = """\
# A table that is called as a kind of check changes that check's defaults.
#[checks.cpu.used]
#warning = 80
#critical = 95
#for = "5m"

#[checks.disk.used]
#warning = 85
#critical = 95
#overrides = [{ labels = { mount = "/srv/archive" }, warning = 97, critical = 99 }]

# false turns a check off.
#[checks.network]
#enabled = false

# A check by any other name says its kind, so that there can be several of one kind.
#[checks.shop]
#type = "http"
#url = "https://shop.example.com/health"
#every = "1m"

#[checks.postgres]
#type = "tcp"
#host = "127.0.0.1"
#port = 5432

#[checks.mail-queue]
#type = "command"
#command = ["/usr/lib/nagios/plugins/check_mailq", "-w", "50", "-c", "200"]
#every = "5m"

# A job is a program on a timetable, run with a time limit and at low priority.
#[jobs.dump]
#command = ["/usr/local/bin/dump-shop", "--compress"]
#daily = "02:00"
#jitter = "30m"
#timeout = "2h"

# A backup job is what `hostward backup run etc` saves, where, and when. The password is in a file that only root can
# read; `privileged` lets root's half of the agent run it.
#[backups.etc]
#repository = "/srv/backup"
#password_file = "/etc/hostward/backup.password"
#paths = ["/etc", "/home"]
#exclude = ["/home/*/.cache"]
#daily = "02:00"
#keep = { daily = 7, weekly = 4, monthly = 12, yearly = 3 }
#verify = true
#privileged = { capabilities = ["CAP_DAC_READ_SEARCH"], writable = ["/srv/backup"] }

# A rule for logs is what `hostward logs rotate` does, and `hostward logs watch` as soon as it is time.
#[[logs]]
#name = "nginx"
#paths = ["/var/log/nginx/*.log"]
#daily = "00:00"
#size = "100MiB"
#max_age = "30d"
#then = { reload = "nginx.service" }
"""


def example() -> str:
    """The text of the file."""
    tables: dict[str, type[msgspec.Struct]] = {"agent": AgentOptions, "home": HomeOptions, "metrics": MetricsOptions}
    parts = [_HEAD, *(_options(name, struct) for name, struct in tables.items()), _NAMED]
    return "\n\n".join(parts)


def _options(name: str, struct: type[msgspec.Struct]) -> str:
    lines = [f"#[{name}]"]
    for option in msgspec.structs.fields(struct):
        text = f"{description(option)} Expected: {expected(option.type, brief=True)}."
        lines += textwrap.wrap(text, 112, initial_indent="# ", subsequent_indent="# ")
        lines.append(f"#{option.encode_name} = {literal(default(option))}")
    return "\n".join(lines)
