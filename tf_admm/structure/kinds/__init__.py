"""Kinds of layers: the one table of what is known of them, open to your own."""

from tf_admm.structure.kinds.base import MAKES
from tf_admm.structure.kinds.base import READS
from tf_admm.structure.kinds.base import RIDES
from tf_admm.structure.kinds.base import Kind
from tf_admm.structure.kinds.base import Link
from tf_admm.structure.kinds.base import Tie
from tf_admm.structure.kinds.base import channels
from tf_admm.structure.kinds.base import value
from tf_admm.structure.kinds.base import zeros
from tf_admm.structure.kinds.elementwise import Channelwise
from tf_admm.structure.kinds.elementwise import Elementwise
from tf_admm.structure.kinds.linear import Linear
from tf_admm.structure.kinds.table import axes
from tf_admm.structure.kinds.table import entry
from tf_admm.structure.kinds.table import is_known
from tf_admm.structure.kinds.table import of
from tf_admm.structure.kinds.table import opened
from tf_admm.structure.kinds.table import places
from tf_admm.structure.kinds.table import prospect
from tf_admm.structure.kinds.table import register_layer
from tf_admm.structure.kinds.table import rows
from tf_admm.structure.kinds.table import says_more

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
