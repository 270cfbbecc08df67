"""The recovery kit: a page with what a person needs on the worst day, and no secret."""
