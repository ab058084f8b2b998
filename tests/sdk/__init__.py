"""Unmodified SDKs against the real binary."""
