"""What both sides are built with: errors, durable files, units, terminal output, typed TOML. Knows no room."""
