"""Sources of backup jobs other than files: `[backups.NAME.SOURCE]`, one file per source.

Each struct is a field of `agent.config.backups.BackupOptions`, under the name of the source.
"""
