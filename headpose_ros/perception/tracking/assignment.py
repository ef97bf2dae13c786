"""The assignment problem, by shortest augmenting paths (Jonker and Volgenant, Computing 1987).

SciPy has it, too, with more of everything: see `geometry.rotations`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def cheapest_pairs(cost: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Pair rows with columns so that the sum of their costs is least.

    Args:
        cost: (M, N), finite.

    Returns:
        min(M, N) pairs of row and column, rows ascending.
    """
    if cost.shape[0] > cost.shape[1]:
        return sorted((row, column) for column, row in cheapest_pairs(cost.T))
    prices = np.zeros(cost.shape[1])
    row_of = np.full(cost.shape[1], -1)
    for row in range(len(cost)):
        _add(row, cost, prices, row_of)
    return sorted((int(row), column) for column, row in enumerate(row_of) if row >= 0)


def _add(
    row: int, cost: NDArray[np.float64], prices: NDArray[np.float64], row_of: NDArray[np.intp]
) -> None:
    """Find a column for one more row, in place: others move on along the cheapest path.

    Args:
        row: The row to add.
        cost: As above.
        prices: (N,) of the columns; they keep every pair made so far a cheapest one.
        row_of: (N,) row of each column, -1 for a free one.
    """
    distance = np.full(len(prices), np.inf)
    before = np.full(len(prices), -1)
    done = np.zeros(len(prices), bool)
    at, column, walked = row, -1, 0.0
    while True:
        paid = cost[at, column] - prices[column] if column >= 0 else 0.0
        through = walked + cost[at] - prices - paid
        shorter = ~done & (through < distance)
        distance[shorter], before[shorter] = through[shorter], column
        column = int(np.where(done, np.inf, distance).argmin())
        done[column], walked = True, distance[column]
        if row_of[column] < 0:
            break
        at = row_of[column]
    prices[done] += distance[done] - walked
    while column >= 0:
        previous = before[column]
        row_of[column] = row if previous < 0 else row_of[previous]
        column = previous
