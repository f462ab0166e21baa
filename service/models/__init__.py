"""The versions: read from the repository, checked, loaded, followed."""
