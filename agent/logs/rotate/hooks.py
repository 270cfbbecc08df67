"""What others may ask of a rotation: not to compress something yet."""

from __future__ import annotations


class Hooks:
    """Says yes to everything, as `hostward logrotate` does. Native rules have others."""

    def may_compress(self, path: str, device: int, inode: int) -> bool:
        """Whether a rotated log may be compressed now. One that is left is asked about again by the next rotation."""
        return True
