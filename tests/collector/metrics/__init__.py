"""Tests of the history of readings."""
