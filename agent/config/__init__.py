"""The agent's configuration: every option once, with its type, default, description and example."""
