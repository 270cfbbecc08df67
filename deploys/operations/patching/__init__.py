"""What a patch does on a host: before, the change, after it, and back."""
