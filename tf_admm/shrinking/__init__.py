"""Models without their dead units."""

from tf_admm.shrinking.shrink import ShrinkReport
from tf_admm.shrinking.shrink import shrink

__all__ = ["ShrinkReport", "shrink"]
