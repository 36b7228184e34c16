"""The W-update, one file for each Keras backend that can train."""
