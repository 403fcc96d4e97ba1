"""What can be built: architectures and search spaces as frozen data."""
