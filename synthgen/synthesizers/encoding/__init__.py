"""A table as categorical codes and places inside bins, and back to legal values."""
