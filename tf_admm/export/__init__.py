"""Export to TFLite and tfmot: small files that have been run and compared."""

from tf_admm.export.tflite.inspection import Inspection
from tf_admm.export.tflite.inspection import inspect
from tf_admm.export.tflite.report import ExportReport
from tf_admm.export.tflite.writing import to_tflite
from tf_admm.export.tfmot.bridge import strip
from tf_admm.export.tfmot.bridge import to_tf_keras
from tf_admm.export.tfmot.bridge import to_tfmot
from tf_admm.export.tfmot.trained_int8 import to_int8_by_training

__all__ = [
    "ExportReport",
    "Inspection",
    "inspect",
    "strip",
    "to_int8_by_training",
    "to_tf_keras",
    "to_tfmot",
    "to_tflite",
]
