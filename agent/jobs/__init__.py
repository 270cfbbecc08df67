"""A job is a child process with limits that always has an outcome: a program, or a function in a fork."""
