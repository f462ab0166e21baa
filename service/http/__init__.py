"""The wire: one connection, its bounds, and the way of a request to its endpoint."""
