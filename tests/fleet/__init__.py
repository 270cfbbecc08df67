"""Hosts as real as one machine can have: Debian, each with its own systemd, sshd, journal and network."""
