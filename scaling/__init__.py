"""What an architecture costs and how it grows."""
