"""What deploys ask a host: one file each, what it prints parsed by a pure function."""
