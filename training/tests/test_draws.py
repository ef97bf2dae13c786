"""What a run sees: the same after every interruption, and every face equally often."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from headpose_training.data.draws import Draws

faces, crops = st.integers(1, 40), st.integers(1, 90)


def epochs_of(draws, count):
    found = []
    for epoch in range(count):
        draws.set_epoch(epoch)
        found.append(list(draws))
    return found


@given(faces, crops, st.integers(0, 5))
def test_an_epoch_is_the_same_whatever_ran_before(faces, crops, epoch):
    straight = epochs_of(Draws(faces, crops, seed=3), epoch + 1)
    resumed = Draws(faces, crops, seed=3)
    resumed.set_epoch(epoch)
    assert list(resumed) == straight[epoch]


@given(faces, crops)
def test_every_face_is_seen_equally_often(faces, crops):
    seen = [face for epoch in epochs_of(Draws(faces, crops), 4) for face, _ in epoch]
    counts = Counter(seen)
    assert len(seen) == 4 * crops
    assert max(counts.values()) - min((counts[i] for i in range(faces)), default=0) <= 1


@given(faces, crops)
def test_no_two_crops_have_one_chance(faces, crops):
    chances = [chance for epoch in epochs_of(Draws(faces, crops), 3) for _, chance in epoch]
    assert len(set(chances)) == len(chances)


@given(faces, st.integers(2, 90), st.integers(2, 4))
def test_processes_share_an_epoch(faces, crops, ranks):
    whole = list(Draws(faces, crops, seed=1))
    parts = [list(Draws(faces, crops, 1, rank, ranks)) for rank in range(ranks)]
    assert {len(part) for part in parts} == {crops // ranks}
    together = [draw for part in parts for draw in part]
    assert len(set(together)) == len(together)
    assert set(together) <= set(whole)


def test_another_seed_is_another_order():
    assert list(Draws(30, seed=1)) != list(Draws(30, seed=2))
