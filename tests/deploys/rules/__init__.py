"""Rules of deploys."""
