"""`keras.ops.matmul` and `einsum`: sums of products of tensors.

Attention that is written out is made of them: channels of queries and keys are summed
over, those of values are kept, and what is between are weights of positions.
"""

import itertools
import string

import keras
import numpy as np

from tf_admm.structure.kinds.base import Kind
from tf_admm.structure.kinds.base import channels


class Products(Kind):
    """`"bqc,bkc->bqk"`: a letter for each axis; what is not in the result is summed.

    Channels of two tensors are the same ones where both end in one letter. All of them
    stay where a tensor has the letter elsewhere, as positions, or a constant has it.
    """

    opaque = False

    def __init__(self, call):
        super().__init__(call)
        *operands, self._result = self.letters() or [""]
        self._operands = list(zip(call.args, operands))

    def letters(self):
        """A string for each operand and one for the result; `None` if not known."""
        raise NotImplementedError

    def why_opaque(self):
        given = [letters for _, letters in self._operands]
        known = all([*given, self._result]) and len(given) == len(self.call.args)
        once = all(len(set(letters)) == len(letters) for letters in given)
        return None if known and once else super().why_opaque()

    def meet(self, makers, readers):
        self._operands = [
            makers[id(x)].before(x, letters) if id(x) in makers else (x, letters)
            for x, letters in self._operands
        ]

    def follows(self, axis):
        return True

    @property
    def _all(self):
        return [*self._operands, (self.y, self._result)]

    def _ends(self):
        """Dict from the last letters of tensors to these, the result behind."""
        found = {}
        for x, letters in self._all:
            if _is_tensor(x):
                found.setdefault(letters[-1], []).append(x)
        return found

    def _stays(self, letter):
        """Whether what ends in a letter keeps its channels."""
        parts = [letters[:-1] if _is_tensor(x) else letters for x, letters in self._all]
        sizes = {channels(x) for x in self._ends()[letter]}
        return len(sizes) > 1 or any(letter in part for part in parts)

    def whole(self):
        why = f"'{self.layer.name}' makes positions of it, or of positions"
        ends = self._ends().items()
        return [(x, why) for letter, xs in ends if self._stays(letter) for x in xs]

    def ties(self):
        return [
            self.same(x, y)
            for letter, xs in self._ends().items()
            if not self._stays(letter)
            for x, y in itertools.pairwise(xs)
        ]

    def reads(self):
        return [
            (x, self.y, np.ones((channels(x), channels(self.y)), bool))
            for x, letters in self._operands
            if _is_tensor(x) and letters[-1] not in self._result
        ]

    def constants(self, known):
        letter = self._result[-1]
        factors = self._ends()[letter][:-1]
        if self._stays(letter) or not factors:
            return []
        dead = np.any([known(x) == 0 for x in factors], axis=0)
        return [(self.y, np.where(dead, 0.0, np.nan))]


class MatrixProduct(Products):
    """`matmul`, of tensors of at least two axes."""

    def letters(self):
        ranks = [len(np.shape(x)) for x in self.call.args]
        if len(ranks) != 2 or min(ranks) < 2:
            return None
        batch = string.ascii_uppercase[: max(ranks) - 2]
        a, b = (batch[max(ranks) - rank :] for rank in ranks)
        return [f"{a}ij", f"{b}jk", f"{batch}ik"]


class Written(Products):
    """`einsum`, of which all letters are given."""

    def letters(self):
        operands, _, result = self.layer.subscripts.replace(" ", "").partition("->")
        given = [*operands.split(","), result]
        tensors = [*self.call.args, self.y]
        if len(given) != len(tensors):
            return None
        return [_spelled(each, len(np.shape(x))) for each, x in zip(given, tensors)]


def _spelled(letters, rank):
    """Letters with those of an ellipsis, counted from behind, in place of it."""
    before, dots, after = letters.partition("...")
    more = rank - len(before) - len(after) if dots else 0
    return before + "".join(str(i) for i in range(more)[::-1]) + after


def _is_tensor(x):
    return isinstance(x, keras.KerasTensor)
