"""Who may ask: scopes, keys, hosts and other sites' pages."""
