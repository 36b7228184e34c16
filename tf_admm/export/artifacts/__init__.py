"""What Keras' own `export` writes, run and compared: ONNX files and SavedModels."""
