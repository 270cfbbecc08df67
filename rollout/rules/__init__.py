"""What the waves' runner decides. Pure: no I/O, no clock."""
