"""`ctgan-library`: the ctgan package as it comes, a control."""
