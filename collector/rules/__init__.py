"""What follows from what: pure functions of data and a time given, with no I/O and no clock of their own."""
