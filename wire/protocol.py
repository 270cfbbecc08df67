"""Where requests go and how they are labelled: the names that both sides must agree on."""

REPORTS = "/api/v1/reports"
"""The target of `POST` with a report."""
ENROLL = "/api/v1/enroll"
"""The target of `POST` with an enrolment."""

REPORT_TYPE = "application/vnd.hostward.report+json"
REPORT_ENCODING = "zstd"
JSON_TYPE = "application/json"
