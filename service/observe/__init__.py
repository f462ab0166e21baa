"""What operators read: metrics, statistics and log lines."""
