"""Does it survive? Kills at random moments and faults of every write; ``nox -s survive``."""
