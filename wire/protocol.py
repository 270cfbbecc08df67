"""Where requests go and how they are labelled: the names that both sides must agree on."""

REPORTS = "/api/v1/reports"
"""The target of `POST` with a report."""
ENROLL = "/api/v1/enroll"
"""The target of `POST` with an enrolment."""
BACKUP_ACCESS = "/api/v1/backup-access"
"""The target of `POST` by which a host asks for what opens its repository at home."""
BACKUPS = "/backup/"
"""Repositories are below it, by restic's REST protocol."""

REPORT_TYPE = "application/vnd.hostward.report+json"
REPORT_ENCODING = "zstd"
JSON_TYPE = "application/json"
