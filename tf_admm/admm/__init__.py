"""The method: the three updates, the model, the callback."""
