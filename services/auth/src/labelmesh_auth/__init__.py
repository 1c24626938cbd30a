"""Accounts, sessions, API keys and the edge's authorization check."""
