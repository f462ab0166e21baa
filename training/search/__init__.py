"""Many runs of ``train`` at once: the seeds of one recipe, or a search over a recipe's settings.

Each is the very command that a user would type, in a process of its own, so it has the same weights
as alone. A process that dies is started again and continues after its last whole epoch.
"""
