"""Steps of deploys that pyinfra does not have, or has in a way that a kill leaves half done."""
