"""What others may ask of a rotation: not to remove, or not to compress, something yet."""

from __future__ import annotations


class Hooks:
    """Says yes to everything, as `hostward logrotate` does. Native rules have others."""

    def before_remove(self, path: str) -> bool:
        """Whether an old log may go now. One that is kept is asked about again by the next run."""
        return True

    def may_compress(self, path: str, device: int, inode: int) -> bool:
        """Whether a rotated log may be compressed now. One that is left is asked about again by the next rotation."""
        return True
