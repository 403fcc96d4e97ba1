"""The names of what a final training leaves in a folder, and of the winner's folder in a run's; loads nothing."""

BEST = "best"
SPEC, INPUT, WEIGHTS = "spec.json", "input.json", "weights.safetensors"
