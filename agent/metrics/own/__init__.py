"""What the agent says of itself, its checks, its jobs and its home."""
