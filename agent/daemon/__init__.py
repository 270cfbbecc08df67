"""`hostward run`: one loop, what it runs, and what it tells."""
