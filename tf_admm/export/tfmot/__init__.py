"""The way to TensorFlow's Model Optimization Toolkit and back."""
