"""Pruning of a trained model by its inputs alone: no labels, no training."""

from tf_admm.post_training.prune import prune_post_training
from tf_admm.post_training.report import PostTrainingReport

__all__ = ["PostTrainingReport", "prune_post_training"]
