"""Writing and reading emitted datasets."""
