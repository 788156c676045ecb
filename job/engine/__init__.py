"""Spark is configured, started and ended here; a library user's own session is never altered."""
