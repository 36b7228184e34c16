"""The same file by operators that LiteRT runs faster.

The converter's int8 files spend most of their time in a few operators that LiteRT has
no fast kernels for. Each rule here replaces one operator, or a few, by others that
compute the same, whose kernels are fast.
"""

from tf_admm.export.tflite.rewriting.rewrite import faster

__all__ = ["faster"]
