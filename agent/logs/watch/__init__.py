"""Watching logs, so that they are rotated when it is time and not when a timer comes by."""
