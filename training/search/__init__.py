"""Many runs of ``train`` at once: the seeds of one recipe, or a search over its settings."""
