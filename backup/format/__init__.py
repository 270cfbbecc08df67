"""restic's repository format, version 2, as pure functions: bytes in, bytes out. Source: restic, doc/design.rst."""
