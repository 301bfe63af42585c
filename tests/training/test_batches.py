"""Which samples an update learns from."""

from __future__ import annotations

from harmose_dft.training.batches import BatchOrder


def test_every_epoch_uses_every_sample_once() -> None:
    order = BatchOrder(seed=0, batch_size=2)
    seen = [order.indices(step, 4) for step in range(4)]
    assert sorted(seen[0] + seen[1]) == sorted(seen[2] + seen[3]) == [0, 1, 2, 3]
