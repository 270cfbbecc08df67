"""Looking after a repository: checking, pruning, copying, rewriting, repairing, counting, comparing, finding."""
