"""Budgets that become a constraint for each kernel."""

from tf_admm.allocation.allocate import allocate
from tf_admm.allocation.table import Allocation

__all__ = ["Allocation", "allocate"]
