"""Reporting home: the identity, the reports, the spool that keeps them, and the thread that delivers them.

`sender` and `transport` load TLS and libsodium, which a host without a home saves: the daemon imports them
once there is an identity.
"""
