"""What is installed on the host, and what waits to be."""
