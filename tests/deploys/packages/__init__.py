"""Package managers, as deploys use them."""
