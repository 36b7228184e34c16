"""From a trained model to the best that can be deployed, in one call."""

from tf_admm.compression.compress import compress
from tf_admm.compression.report import CompressionReport

__all__ = ["CompressionReport", "compress"]
