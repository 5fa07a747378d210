"""Monte Carlo tree search: think ahead from one state, and longest where it looks best.

A simulation goes down the tree to a leaf, grows it if it was seen before, asks what the new leaf is worth, and carries
the answer back up. The tree lives in parallel lists whose index is the node; node 0 is the root. A node stands for what
an action led to. Its value holds the reward of that step, so that it is Q(s, a) of the node above.

No environment is copied: the model is a function that lists, for each action, what it can lead to. Where chance
decides, the action has a node of its own, and each outcome below it another, taken as often as the model says.

A state that the way from the root has been in already is no new ground. Such a node (a bump into a wall leads to one)
never grows, and need not be tried before the others: it points to where the state stood before, and is worth the step
and what that state is worth by now. Where the best way itself comes back, as on a slippery floor, that makes a mean of
means, which converges slowly.

Source: Kocsis & Szepesvári (2006) for UCT; Silver et al. (2017) for PUCT.

Left out: keeping the tree for the next move, search in parallel, noise on the prior, and one node for a state that is
reached by several ways. Engines have all of them.
"""

import math
from bisect import bisect
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from mazelm.tabular.episodes import uniforms

Outcome = tuple[int | float, Any, int | float, bool]  # probability, next state, reward, terminated: as in Gymnasium's P
Model = Callable[[Any], Sequence[Sequence[Outcome]]]

OPEN, ENDED = -1, -2  # what `links` says of a node that points nowhere
_NOTHING = range(0)
_CHANCE: Outcome = (1.0, None, 0.0, False)  # an action whose outcomes have nodes of their own


class Rule(NamedTuple):
    """How much an action's score is raised for having been tried little: c·P(s, a)·growth(N(s))·width(N(s, a)).

    An action has been tried N(s, a) times in the N(s) visits of its state, the one that made the node included.
    """

    growth: Callable[[int], float]
    width: Callable[[int], float]

    def bonus(
        self, state_visits: int, action_visits: int, *, exploration: int | float, prior: int | float = 1.0
    ) -> float:
        """What is added to Q(s, a)."""
        return exploration * prior * self.growth(state_visits) * self.width(action_visits)


# c·√(ln N(s) / N(s, a)): an action that was never tried has a bonus without bound. At the first choice ln 1 would be 0,
# and 0·∞ no number; nothing has been tried then, so that any number above 0 will do.
UCT = Rule(lambda n: math.sqrt(math.log(max(n, 2))), lambda n: 1 / math.sqrt(n) if n else math.inf)
# c·P(s, a)·√N(s) / (1 + N(s, a)): an action that was never tried has to have been likely
PUCT = Rule(math.sqrt, lambda n: 1 / (1 + n))


class MCTS:
    """A search tree, and the simulations that grow it.

    Args:
        model: What each action of a state can lead to, as lists of (probability, next state, reward, terminated).
            The number of actions may differ between states. A state can be anything that a dictionary takes as a key,
            but None, and it holds all that matters: two equal ones are one.
        evaluate: What a state is worth to whoever acts in it: a rollout, or a value function.
        exploration: c, in units of return: how much worse than another an action may look and still be tried.
        discount: γ, in (0, 1].
        two_player: Whether each move is made by the other player. A reward is then that of who moves.
        prior: The probability of each action before the search: selection by PUCT. None: by UCT, without an opinion.
        rng: Where the chances of the model come from. A world without chance needs none.

    Attributes:
        states: The state of each node; None for an action that waits for chance.
        visits: How many simulations went through.
        values: The mean of what they were paid from the step into this node on, by whom it was taken: Q(s, a).
        rewards: What the step into this node pays.
        links: The node above with the same state, for a node that is no new ground; else OPEN or ENDED.

    Raises:
        ValueError: exploration is not above 0, or discount is not in (0, 1].
    """

    def __init__(
        self,
        model: Model,
        evaluate: Callable[[Any], float],
        *,
        exploration: int | float,
        discount: int | float = 1.0,
        two_player: bool = False,
        prior: Callable[[Any], Iterable[float]] | None = None,
        rng: np.random.Generator | None = None,
    ):
        if not 0 < exploration < math.inf:
            raise ValueError(f"exploration must be a number above 0, got {exploration}")
        if not 0 < discount <= 1:
            raise ValueError(f"discount must be in (0, 1], got {discount}")
        self.model, self.evaluate, self.prior = model, evaluate, prior
        self.exploration, self.discount, self.two_player = exploration, discount, two_player
        self.rule = UCT if prior is None else PUCT
        self._factor = -discount if two_player else discount
        self._growth: list[float] = []  # c·growth(n) and width(n) for n = 0, 1, 2, …
        self._width: list[float] = []
        self._draws = None if rng is None else uniforms(rng)

    def search(self, state: Hashable, simulations: int) -> int:
        """Grow a new tree from a state, and return the action that was visited most.

        Args:
            state: Where the walker or the player is now.
            simulations: How many, at least 2: the first only asks what the state itself is worth.
        """
        if simulations < 2:
            raise ValueError(f"simulations must be at least 2, got {simulations}")
        self.plant(state)
        for _ in range(simulations):
            self.simulate()
        return self.best_action()

    def plant(self, state: Hashable) -> None:
        """Begin a new tree: a root that has not been visited."""
        self.states, self._children = [state], [_NOTHING]
        self.visits, self.values, self.rewards = [0], [0.0], [0.0]
        self.links, self._factors = [OPEN], [1.0]
        self._priors: dict[int, float] = {}  # P(s, a), where there is a prior
        self._widths = [0.0]  # P(s, a)·width(N(s, a))
        self._outcomes: dict[int, tuple[list[float], range]] = {}  # of the nodes that wait for chance

    def simulate(self) -> list[int]:
        """One simulation: select, expand, evaluate, back up. Returns the nodes that it went through, the root first."""
        if self.visits[0] + 2 > len(self._width):
            self._lengthen()
        path = [0]
        self._descend(path)
        leaf = path[-1]
        if self.visits[leaf] and self.links[leaf] == OPEN:
            self._expand(leaf, path)
            self._descend(path)
        self._back_up(path, self._judge(path[-1]))
        return path

    def best_action(self) -> int:
        """The action at the root that was visited most; of several, the one with the higher value."""
        children = self._children[0]
        if not children:
            raise ValueError(f"the tree has no action to choose from yet: its root was visited {self.visits[0]} times")
        return max(range(len(children)), key=lambda a: (self.visits[children[a]], self.values[children[a]]))

    def children(self, node: int = 0) -> range:
        """The nodes below, one for each action or for each outcome; none at a leaf."""
        return self._outcomes[node][1] if node in self._outcomes else self._children[node]

    def action_visits(self, node: int = 0) -> list[int]:
        """N(s, a) for each action below a node."""
        return [self.visits[child] for child in self._children[node]]

    def action_values(self, node: int = 0) -> list[float]:
        """Q(s, a) for each action below a node; for one that was never tried, what its state was judged to be."""
        return [self.values[child] for child in self._children[node]]

    def state_value(self, node: int = 0) -> float:
        """V(s), the mean of what the simulations were paid from here on, to whoever acts here.

        V(s) = (Q − r) / γ    since Q = r + γ·V(s); with two players Q = r − γ·V(s)
        """
        return (self.values[node] - self.rewards[node]) / self._factors[node]

    def parents(self) -> list[int]:
        """The node above each node; −1 for the root."""
        above = [-1] * len(self.states)
        for node in range(len(self.states)):
            for child in self.children(node):
                above[child] = node
        return above

    def depths(self) -> list[int]:
        """How many actions lie between the root and each node."""
        depths = [0] * len(self.states)
        for node, parent in enumerate(self.parents()):
            if parent >= 0:  # a node is younger than the one above it
                depths[node] = depths[parent] + (parent not in self._outcomes)
        return depths

    def _descend(self, path: list[int]) -> None:
        """Lengthen the path down to a leaf: to the child with the highest score, or where chance takes it.

        Q(s, a) + c·P(s, a)·growth(N(s))·width(N(s, a))
        """
        visits, values, widths, children_of, growth = (
            self.visits,
            self.values,
            self._widths,
            self._children,
            self._growth,
        )
        node = path[-1]
        while True:
            while children := children_of[node]:
                bonus, best = growth[visits[node]], -math.inf
                for child in children:
                    score = values[child] + bonus * widths[child]
                    if score > best:
                        best, node = score, child
                path.append(node)
            if node not in self._outcomes:
                return
            node = self._drawn(node)
            path.append(node)

    def _drawn(self, node: int) -> int:
        """One of the outcomes below an action, drawn."""
        if self._draws is None:
            raise ValueError("rng is missing: the model has actions with several outcomes")
        cuts, outcomes = self._outcomes[node]
        return outcomes[bisect(cuts, next(self._draws))]

    def _expand(self, node: int, path: list[int]) -> None:
        """Put a child below a leaf for each action, and below that one for each outcome where there are several."""
        moves = self.model(self.states[node])
        if not moves:
            raise ValueError(f"model lists no action in state {self.states[node]!r}, where the task has not ended")
        met = {self.states[above]: above for above in path}
        met.pop(None, None)  # the state of a node that waits for chance is no state
        certain = [each[0] if len(each) == 1 else _CHANCE for each in moves]
        self._children[node] = children = self._grow(node, certain, met)
        if _CHANCE in certain:
            self._branch(children, moves, met)
        if self.prior is not None:
            self._set_prior(node, children)

    def _branch(self, children: range, moves: Sequence[Sequence[Outcome]], met: dict[Any, int]) -> None:
        """Put the outcomes of each action below it, where there are several."""
        for child, outcomes in zip(children, moves, strict=True):
            if len(outcomes) > 1:
                self._factors[child] = 1.0  # the discount is that of the outcome below
                cuts = accumulate(outcome[0] for outcome in outcomes[:-1])
                self._outcomes[child] = list(cuts), self._grow(child, outcomes, met)

    def _grow(self, node: int, outcomes: Sequence[Outcome], met: dict[Any, int]) -> range:
        """Put a node below another for each outcome."""
        first, n, unseen = len(self.states), len(outcomes), self.state_value(node)
        self.states += [outcome[1] for outcome in outcomes]
        self.rewards += [outcome[2] for outcome in outcomes]
        self.links += [ENDED if outcome[3] else met.get(outcome[1], OPEN) for outcome in outcomes]
        self.visits += [0] * n
        self.values += [unseen] * n
        self._children += [_NOTHING] * n
        self._factors += [self._factor] * n
        self._widths += [self._width[0]] * n
        for child, link in enumerate(self.links[first:], first):
            if link >= 0:  # its worth is known already
                self.values[child] = self.rewards[child] + self._factor * self.state_value(link)
                self._widths[child] = self._width[1]
        return range(first, first + n)

    def _set_prior(self, node: int, children: range) -> None:
        assert self.prior is not None
        state = self.states[node]
        prior = [float(probability) for probability in self.prior(state)]
        if len(prior) != len(children) or not (min(prior) >= 0 and abs(sum(prior) - 1) < 1e-6):
            raise ValueError(f"prior must give {len(children)} probabilities for the state {state!r}, got {prior}")
        for child, probability in zip(children, prior, strict=True):
            self._priors[child] = probability
            self._widths[child] *= probability

    def _judge(self, leaf: int) -> float:
        """What a leaf is worth to whoever acts there: nothing where the task ended, else what is known or asked."""
        link = self.links[leaf]
        if link == ENDED:
            return 0.0
        if link >= 0:
            return self.state_value(link)
        worth = self.evaluate(self.states[leaf])
        if not math.isfinite(worth):
            raise ValueError(f"evaluate must give a number, got {worth} for the state {self.states[leaf]!r}")
        return worth

    def _back_up(self, path: list[int], following: float) -> None:
        """Carry what the leaf is worth up the path, into every mean on the way.

        G ← r + γ·G    or, with two players, G ← r − γ·G
        Q ← Q + (G − Q) / N
        """
        visits, values, rewards, factors = self.visits, self.values, self.rewards, self._factors
        widths, width = self._widths, self._width
        for node in reversed(path):
            following = rewards[node] + factors[node] * following
            visits[node] = n = visits[node] + 1
            values[node] += (following - values[node]) / n
            widths[node] = width[n]
        if self._priors:
            for node in path:
                widths[node] *= self._priors.get(node, 1.0)

    def _lengthen(self) -> None:
        """Tables of the rule for twice as many visits: to look a number up is quicker than to compute it."""
        counts = range(2 * max(len(self._width), 64))
        self._growth = [self.exploration * self.rule.growth(n) for n in counts]
        self._width = [self.rule.width(n) for n in counts]
