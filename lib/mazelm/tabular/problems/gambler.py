"""The gambler's problem: reach a goal by betting on a coin that is not fair, or lose everything.

Source: Sutton & Barto (2018), example 4.3 and figure 4.3. Dubins & Savage (1965) proved that bold play, to stake all
there is or all that the goal needs, is optimal where the coin favours the house.

Left out: the coin's own learning. The gambler knows the chance, which makes it a problem of planning.
"""

import numpy as np

from mazelm.tabular.mdp import TabularMDP


def gambler(chance: float = 0.4, *, goal: int = 100, smallest_stake: int = 1) -> TabularMDP:
    """The chance to reach the goal, as a task: reward 1 for the bet that reaches it, and 0 for every other one.

        capital s, stake b:  s + b with probability `chance`, s − b otherwise;  over at 0 and at the goal

    The state is the capital, 0 to goal; at 0 and at the goal the task is over. Action a stakes a + smallest_stake, up
    to half of the goal; a stake above min(s, goal − s), more than there is or than is needed, counts as that much.
    With a discount of 1 the value of a capital is the chance to win from there.

    Args:
        chance: Probability that a bet is won, in (0, 1).
        goal: The capital at which the gambler stops, at least 2.
        smallest_stake: 1, or 0 for the action set of the book, in which a gambler may bet nothing and wait for ever.

    Raises:
        ValueError: The chance is not in (0, 1), the goal is below 2, or the smallest stake is neither 0 nor 1.

    Source: Sutton & Barto (2018), example 4.3.
    """
    if not 0 < chance < 1:
        raise ValueError(f"chance must lie between 0 and 1, got {chance}")
    if goal < 2:
        raise ValueError(f"goal must be at least 2, got {goal}")
    if smallest_stake not in (0, 1):
        raise ValueError(f"smallest_stake must be 0 or 1, got {smallest_stake}")
    capital = np.arange(goal + 1)[:, None]
    stakes = np.minimum(np.arange(smallest_stake, goal // 2 + 1), np.minimum(capital, goal - capital))  # (S, A)
    s, a = np.indices(stakes.shape)
    transitions = np.zeros((*stakes.shape, goal + 1))
    np.add.at(transitions, (s, a, s + stakes), chance)  # add: with a stake of 0 both outcomes are the same capital
    np.add.at(transitions, (s, a, s - stakes), 1 - chance)
    rewards = np.where(s < goal, transitions[:, :, goal], 0.0)
    terminations = transitions[:, :, 0] + transitions[:, :, goal]  # a bet that reaches either is the last,
    transitions[:, :, [0, goal]] = 0.0  # and nothing follows it
    return TabularMDP(transitions, rewards, terminations)
