"""What inputs alone do for a trained model: no labels, no training."""

from tf_admm.post_training.prune import prune_post_training
from tf_admm.post_training.recalibrate import recalibrate
from tf_admm.post_training.report import PostTrainingReport

__all__ = ["PostTrainingReport", "prune_post_training", "recalibrate"]
