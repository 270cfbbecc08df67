"""TOML in, typed structs out: every mistake at once, each with its line; and the reference from the same structs."""
