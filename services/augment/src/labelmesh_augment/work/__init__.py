"""What crosses to worker processes, and what they do."""
