"""Movement of pixels and labels: one map for both."""
