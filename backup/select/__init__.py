"""What a command means: which snapshots, which files, which snapshots to keep. Pure rules, as restic has them."""
