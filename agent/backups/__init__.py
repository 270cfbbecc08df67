"""Backups on a host: what is the agent's own beside the repositories of `backup/`."""
