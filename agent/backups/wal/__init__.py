"""Continuous archiving of PostgreSQL: a spool for WAL, what is saved of it, and the way back to any moment."""
