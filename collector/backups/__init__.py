"""Backups at home: the places that hosts save into, and what home keeps of them."""
