"""Restoring: from the trees of a snapshot into a folder, or as an archive into a stream."""
