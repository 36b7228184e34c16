"""TFLite files that have been run and compared before they are written."""
