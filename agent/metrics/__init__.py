"""What the agent shows to Prometheus: the host under node_exporter's names, and itself under `hostward_`."""
