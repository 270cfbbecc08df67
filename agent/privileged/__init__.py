"""Root's half of the agent: runs what root's configuration marks `privileged`, and nothing else, for the daemon."""
