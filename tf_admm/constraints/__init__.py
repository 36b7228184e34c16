"""The sets S_i of the constraint W_i in S_i, each with its projection.

A set is a `keras.constraints.Constraint`: calling it returns the nearest
member,

    Pi_S(w) = argmin_{v in S} ||v - w||_F.

Kernels are in the axis order of Keras' Dense and Conv layers: `(d_in, d_out)`,
`(positions..., c_in, c_out)`. `ADMMModel` brings those of other layers
(transposed, depthwise, EinsumDense) into it.
"""

from tf_admm.constraints.base import MaskConstraint
from tf_admm.constraints.base import SetConstraint
from tf_admm.constraints.base import ValueConstraint
from tf_admm.constraints.clusters import Clusters
from tf_admm.constraints.coupled import GlobalSparsity
from tf_admm.constraints.coupled import UnitSparsity
from tf_admm.constraints.groups import GroupSparsity
from tf_admm.constraints.intersection import Intersection
from tf_admm.constraints.levels import Levels
from tf_admm.constraints.n_of_m import NMSparsity
from tf_admm.constraints.patterns import PatternSparsity
from tf_admm.constraints.rates import BlockSparsity
from tf_admm.constraints.rates import ChannelSparsity
from tf_admm.constraints.rates import ColumnSparsity
from tf_admm.constraints.rates import FilterSparsity
from tf_admm.constraints.rates import KernelSparsity
from tf_admm.constraints.rates import RateConstraint
from tf_admm.constraints.rates import Sparsity

__all__ = [
    "BlockSparsity",
    "ChannelSparsity",
    "Clusters",
    "ColumnSparsity",
    "FilterSparsity",
    "GlobalSparsity",
    "GroupSparsity",
    "Intersection",
    "KernelSparsity",
    "Levels",
    "MaskConstraint",
    "NMSparsity",
    "PatternSparsity",
    "RateConstraint",
    "SetConstraint",
    "Sparsity",
    "UnitSparsity",
    "ValueConstraint",
]
