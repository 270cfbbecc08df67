"""A repository: its keys, its locks, its index in memory, and loading and saving of what it holds."""
