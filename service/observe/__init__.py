"""What an operator sees: metrics, statistics of the protocols, log lines."""
