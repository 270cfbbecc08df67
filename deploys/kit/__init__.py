"""What every deploy is built with."""
