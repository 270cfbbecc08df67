"""What deploys decide. Pure: no I/O, no clock."""
