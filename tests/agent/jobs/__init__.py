"""Jobs, with real programs and real signals."""
