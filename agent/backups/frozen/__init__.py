"""Consistent file-system snapshots: a run reads files as they were at its begin. One file for each system."""
