"""What a model is made of: its kernels, their names, and how channels pass."""
