"""Labeling on a real Postgres, a real S3 server and a real channel."""
