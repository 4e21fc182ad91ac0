"""Prefect flows and the command line. No arithmetic."""
