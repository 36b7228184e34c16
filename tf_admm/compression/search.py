"""Which size to try next."""

import math


def following(tried, factor, fineness, least):
    """The next share to try, or `None` if the answer is near enough.

    The share falls by `factor` while what is tried does; from the first that doesn't,
    the gap between the smallest that does and the largest that doesn't is halved, as
    ratios, until it is at most `fineness`.

    Args:
        tried: list of `(share, meets)`, the share in (0, 1], in the order tried.
        factor: float above 1.
        fineness: float above 1.
        least: float, below which nothing is tried.

    Example:

    >>> from tf_admm.compression.search import following
    >>> following([(0.25, True), (0.0625, False)], 4.0, 1.2, 1e-4)
    0.125
    """
    smallest = min((share for share, meets in tried if meets), default=1.0)
    failed = [share for share, meets in tried if not meets and share < smallest]
    largest = max(failed, default=least)
    if smallest / largest <= fineness:
        return None
    if not failed:
        return max(smallest / factor, least)
    return math.sqrt(smallest * largest)


def largest(meets, factor, fineness, least):
    """The largest share that meets a goal which small ones meet, within `fineness`.

    Args:
        meets: a function from a share to a bool.
        factor, fineness, least: as in `following`.

    Returns:
        A float, or `None` if not even `least` does.
    """
    if meets(1.0):
        return 1.0
    above, share = 1.0, 1.0 / factor
    while not meets(share):
        if share <= least:
            return None
        above, share = share, max(share / factor, least)
    while above / share > fineness:
        middle = math.sqrt(above * share)
        if meets(middle):
            share = middle
        else:
            above = middle
    return share
