"""Export to TFLite, ONNX, SavedModels and tfmot: files that were run and compared."""

from tf_admm.export.artifacts.onnx_file import to_onnx
from tf_admm.export.artifacts.report import ArtifactReport
from tf_admm.export.artifacts.saved_model import to_saved_model
from tf_admm.export.tflite.inspection import Inspection
from tf_admm.export.tflite.inspection import inspect
from tf_admm.export.tflite.report import ExportReport
from tf_admm.export.tflite.writing import to_tflite
from tf_admm.export.tfmot.bridge import strip
from tf_admm.export.tfmot.bridge import to_tf_keras
from tf_admm.export.tfmot.bridge import to_tfmot
from tf_admm.export.tfmot.trained_int8 import to_int8_by_training

__all__ = [
    "ArtifactReport",
    "ExportReport",
    "Inspection",
    "inspect",
    "strip",
    "to_int8_by_training",
    "to_onnx",
    "to_saved_model",
    "to_tf_keras",
    "to_tfmot",
    "to_tflite",
]
