"""`hostward-collector backup`: one file per command."""
