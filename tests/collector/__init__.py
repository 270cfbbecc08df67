"""Tests of the room at home."""
