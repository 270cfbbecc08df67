"""`hostward logs`: one file per command."""
