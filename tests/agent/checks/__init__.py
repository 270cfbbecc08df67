"""The checks: what they read, how it is judged, and what is said of it."""
