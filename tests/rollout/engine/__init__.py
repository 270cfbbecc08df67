"""The process of one wave."""
