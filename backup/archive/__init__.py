"""What makes a snapshot: walking, reading, cutting into chunks, packing in forked workers, trees."""
