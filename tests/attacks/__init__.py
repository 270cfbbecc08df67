"""Home under attack: what is tried, and what holds. docs/security.md says what is promised."""
