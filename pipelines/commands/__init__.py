"""The commands of `synthgen`. Frameworks are imported inside them: --help and a misspelt key answer at once."""
