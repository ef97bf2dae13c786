"""Pairs of least cost, judged by SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.optimize import linear_sum_assignment

from headpose_ros.perception.tracking.assignment import cheapest_pairs

#: Whole numbers have ties, 1e6 is how tracking forbids a pair.
COSTS = st.one_of(st.floats(-5, 5), st.integers(0, 3).map(float), st.just(1e6))


@given(
    arrays.arrays(
        np.float64, arrays.array_shapes(min_dims=2, max_dims=2, max_side=7), elements=COSTS
    )
)
def test_the_sum_is_least(cost):
    pairs = cheapest_pairs(cost)
    rows, columns = zip(*pairs, strict=True)
    assert len(pairs) == min(cost.shape)
    assert list(rows) == sorted(set(rows))
    assert len(set(columns)) == len(columns)
    best = cost[linear_sum_assignment(cost)].sum()
    assert sum(cost[pair] for pair in pairs) == pytest.approx(best)


def test_the_nearest_pair_is_given_up_where_that_is_cheaper_in_all():
    assert cheapest_pairs(np.array([[1.0, 2.0], [2.0, 9.0]])) == [(0, 1), (1, 0)]
