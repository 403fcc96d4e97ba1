"""How to look for an architecture: studies, strategies, jobs and the command line."""
