"""Rotation: two languages that come to the same rules, a pure plan, and an applier that a kill cannot harm."""
