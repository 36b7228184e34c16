"""ADMM weight pruning for Keras 3 (Zhang et al., 2018, arXiv:1804.03294)."""

from tf_admm import constraints
from tf_admm import export
from tf_admm import schedules
from tf_admm.admm.callback import ADMMCallback
from tf_admm.admm.freezing import freeze_sparsity
from tf_admm.admm.model import ADMMModel
from tf_admm.admm.regularizer import ADMMRegularizer
from tf_admm.allocation import Allocation
from tf_admm.allocation import allocate
from tf_admm.compression import CompressionReport
from tf_admm.compression import compress
from tf_admm.post_training import PostTrainingReport
from tf_admm.post_training import prune_post_training
from tf_admm.post_training import recalibrate
from tf_admm.reporting import DeploymentReport
from tf_admm.reporting import report
from tf_admm.shrinking import ShrinkReport
from tf_admm.shrinking import shrink
from tf_admm.structure import kinds
from tf_admm.structure.groups import ChannelGroup
from tf_admm.structure.groups import ChannelGroups
from tf_admm.structure.groups import channel_groups
from tf_admm.structure.kinds import register_layer
from tf_admm.structure.saving import save_compressed
from tf_admm.tables.plan import Plan
from tf_admm.tables.plan import plan
from tf_admm.tables.summary import Summary
from tf_admm.tables.summary import summary
from tf_admm.version import __version__

__all__ = [
    "ADMMCallback",
    "ADMMModel",
    "ADMMRegularizer",
    "Allocation",
    "ChannelGroup",
    "ChannelGroups",
    "CompressionReport",
    "DeploymentReport",
    "Plan",
    "PostTrainingReport",
    "ShrinkReport",
    "Summary",
    "__version__",
    "allocate",
    "channel_groups",
    "compress",
    "constraints",
    "export",
    "freeze_sparsity",
    "kinds",
    "plan",
    "prune_post_training",
    "recalibrate",
    "register_layer",
    "report",
    "save_compressed",
    "schedules",
    "shrink",
    "summary",
]
