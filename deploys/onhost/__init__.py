"""Programs that run on hosts: deploys upload them, and they import nothing but Python's own library."""
