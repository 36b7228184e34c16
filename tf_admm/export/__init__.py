"""Export to TFLite: small files that have been run and compared."""

from tf_admm.export.report import ExportReport
from tf_admm.export.tflite import to_tflite

__all__ = ["ExportReport", "to_tflite"]
