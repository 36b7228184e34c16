"""What is printed of a model: how sparse it is, and what it would get."""
