"""Tests mirror the rooms; each says in one sentence what it holds."""
