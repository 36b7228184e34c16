"""Kinds of layers: the one table of what is known of them, open to your own."""

from tf_admm.structure.kinds.base import Kind
from tf_admm.structure.kinds.base import channels
from tf_admm.structure.kinds.elementwise import Channelwise
from tf_admm.structure.kinds.elementwise import Elementwise
from tf_admm.structure.kinds.linear import Linear
from tf_admm.structure.kinds.links import MAKES
from tf_admm.structure.kinds.links import READS
from tf_admm.structure.kinds.links import RIDES
from tf_admm.structure.kinds.links import Link
from tf_admm.structure.kinds.links import Tie
from tf_admm.structure.kinds.lookup import axes
from tf_admm.structure.kinds.lookup import entry
from tf_admm.structure.kinds.lookup import is_known
from tf_admm.structure.kinds.lookup import of
from tf_admm.structure.kinds.lookup import opened
from tf_admm.structure.kinds.lookup import places
from tf_admm.structure.kinds.lookup import prospect
from tf_admm.structure.kinds.lookup import register_layer
from tf_admm.structure.kinds.lookup import rows
from tf_admm.structure.kinds.lookup import says_more
from tf_admm.structure.kinds.values import value
from tf_admm.structure.kinds.values import zeros

__all__ = [
    "MAKES",
    "READS",
    "RIDES",
    "Channelwise",
    "Elementwise",
    "Kind",
    "Linear",
    "Link",
    "Tie",
    "axes",
    "channels",
    "entry",
    "is_known",
    "of",
    "opened",
    "places",
    "prospect",
    "register_layer",
    "rows",
    "says_more",
    "value",
    "zeros",
]
