"""Every figure of a version's card."""
