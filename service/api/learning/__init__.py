"""The endpoints by which the service learns from its use."""
