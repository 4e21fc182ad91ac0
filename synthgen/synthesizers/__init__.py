"""The synthesizers."""
