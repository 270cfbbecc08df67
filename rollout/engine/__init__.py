"""The process of one wave: the only part of the waves' runner that knows pyinfra."""
