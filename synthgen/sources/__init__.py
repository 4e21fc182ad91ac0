"""Reading labelled data."""
