"""Keeping at home: what is forgotten and pruned by the administrator's policy, which no host can steer."""
