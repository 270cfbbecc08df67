"""The pages: their rules, what they answer, and how they look and live in a real browser."""
