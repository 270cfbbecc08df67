"""Looking into snapshots at home, in processes of their own."""
