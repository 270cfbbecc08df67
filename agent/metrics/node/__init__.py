"""node_exporter's collectors, one file each: what they read, and how they call it."""
