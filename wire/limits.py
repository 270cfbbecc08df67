"""How large and how odd a report may be: every size has its limit, the same on both sides.

The sender keeps to these (`wire.fit`), the reader refuses what does not (`wire.codec`). A limit may be raised
within a version once every reader in use takes more; it is never lowered.
"""

from __future__ import annotations

import re

MAX_BODY = 1 << 20
"""Bytes of a request's body as it travels, compressed."""
MAX_DOCUMENT = 2 << 20
"""Bytes of JSON that a body may hold once decompressed."""
MAX_WINDOW = 8 << 20
"""Bytes that a frame may make its reader keep as a window; RFC 8878 asks every decoder to take 8 MiB."""

MAX_CHECKS = 500
MAX_READINGS = 5000
MAX_JOBS = 500
MAX_EVENTS = 500
MAX_GAPS = 50
MAX_FACTS = 100
MAX_LOGS = 31
"""Days of logs in one report."""
MAX_BACKUPS = 200
MAX_DRILLS = 200
MAX_COPIES = 8
"""Further repositories that one run of a backup job copies its snapshot into."""
MAX_PACKAGES = 10_000
"""Installed packages that one report tells."""
MAX_PENDING = 2_000
"""Pending updates that one report tells."""
MAX_PACKAGES_SIZE = 256 << 10
"""Bytes of JSON of a report's packages: 4,000 to 5,000 of Debian's. A report with them takes no readings along."""
MAX_SHAPES = 10
"""Of messages, of addresses, of paths and so on, that a summary of logs lists."""
MAX_LABELS = 16

MAX_NAME = 128
"""Characters of the name of a check, a job or a measurement, of an event's kind, of a fact."""
MAX_TITLE = 253
"""Characters of the name of a host, as people see it; no name in the DNS is longer."""
MAX_LABEL_NAME = 64
MAX_VALUE = 256
"""Characters of a label's or a fact's value."""
MAX_MESSAGE = 500
"""Characters of what a check, a job or an event says."""
MAX_SHAPE = 200
"""Characters of a shape of messages."""
MAX_UNIT = 32
MAX_ID = 64
"""Characters of the ids of a host, of a sender's database and of a boot, and of the agent's version."""
MAX_TOKEN = 256

MAX_TIME = 4_102_444_800.0
"""2100-01-01. There is no lower bound but 0: a host without a battery wakes up in 1970, and may say so."""
MAX_SPAN = 31_536_000.0
"""Seconds in a year: no interval and no duration is longer."""
MAX_COUNT = 1 << 53
"""The largest whole number that every JSON reader keeps exact (RFC 8259, section 6)."""

ID = re.compile(r"[A-Za-z0-9_.+-]+")
"""Ids of hosts, databases, boots, and versions."""
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@/-]*")
"""Names of checks and jobs, kinds of checks and of events, names of facts."""
PACKAGE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+~-]*")
"""Names of packages: Debian's (Policy, section 5.6.7) and rpm's."""
MEASUREMENT = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
"""Names of measurements, as OpenMetrics has them."""
SNAPSHOT = re.compile(r"[0-9a-f]{64}")
"""Ids of snapshots: SHA-256, as repositories in restic's format have them."""
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
"""A day of the calendar, as ISO 8601 has it."""
LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""Names of labels, as OpenMetrics has them."""
