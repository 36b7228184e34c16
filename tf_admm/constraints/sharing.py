"""Which kernels share a constraint object, and so are projected together."""


def together(pairs):
    """Group `(item, constraint)` pairs by constraint object: `(constraint, items)`."""
    groups = {}
    for item, constraint in pairs:
        groups.setdefault(id(constraint), (constraint, []))[1].append(item)
    return list(groups.values())
