"""A solver: the minimum, by the one that ships, under another name."""

from geneb_jax_probes.solvers.exact import EXACT


class FriendSolver(type(EXACT)):
    name = "friend-solver"


SOLVER = FriendSolver()
