from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from headstart.training.batches import VIEWS, Samples, augmented, in_order, mixed, shuffled

CPU = torch.device("cpu")


def numbered(count=10, size=6):
    """Images that can be told apart by any of their pixels, and whose pixels can be told apart."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    return images, np.arange(count)


def samples_of(part, views=("identity",)):
    images, labels = part
    return Samples.of_images(images, np.arange(len(labels)), labels, views, CPU)


def epoch_of(samples, epoch, seed=0, batch_size=5, translate=0):
    generator = torch.Generator().manual_seed(seed)
    return list(shuffled(samples, epoch, batch_size, translate, CPU, generator))


def test_an_epoch_sees_every_image_once_with_its_label():
    part = numbered()
    inputs, labels = (torch.cat(parts) for parts in zip(*epoch_of(samples_of(part), 0), strict=True))
    assert sorted(labels.tolist()) == list(range(10))
    assert torch.equal(inputs.permute(0, 2, 3, 1), torch.from_numpy(part[0])[labels])


def test_the_order_is_shuffled_and_follows_the_seed():
    samples = samples_of(numbered())
    first, again, other = (torch.cat([y for _, y in epoch_of(samples, 0, seed)]) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.tolist() != list(range(10))


def test_a_small_last_batch_waits_for_another_epoch_but_small_data_is_one_batch():
    assert [len(y) for _, y in epoch_of(samples_of(numbered(10)), 0, batch_size=4)] == [4, 4]
    assert [len(y) for _, y in epoch_of(samples_of(numbered(3)), 0, batch_size=4)] == [3]


def test_mirroring_alternates_from_epoch_to_epoch():
    part = numbered()
    samples = samples_of(part, ("identity", "mirror"))
    original = torch.from_numpy(part[0]).permute(0, 3, 1, 2)
    seen = []
    for epoch in (0, 1, 2):
        inputs, labels = (torch.cat(parts) for parts in zip(*epoch_of(samples, epoch), strict=True))
        plain = (inputs == original[labels]).flatten(1).all(1)
        mirrored = (inputs == original[labels].flip(-1)).flatten(1).all(1)
        assert (plain ^ mirrored).all()
        seen.append(mirrored[labels.argsort()])
    assert torch.equal(seen[0], ~seen[1])
    assert torch.equal(seen[0], seen[2])
    assert 0 < seen[0].sum() < len(part[1])


def test_a_moved_image_is_reflected_at_its_edge():
    row = torch.arange(5, dtype=torch.uint8).view(1, 1, 1, 5).expand(1, 1, 5, 5)
    for shift, expected in ((1, [1, 0, 1, 2, 3]), (-2, [2, 3, 4, 3, 2])):
        moved = augmented(row, torch.tensor([0]), torch.tensor([[0], [shift]]), torch.tensor([False]))
        assert moved[0, 0, 0].tolist() == expected


def test_every_view_keeps_the_shape_and_none_is_another():
    images = torch.from_numpy(numbered()[0]).permute(0, 3, 1, 2)
    views = {name: view(images) for name, view in VIEWS.items()}
    assert all(view.shape == images.shape for view in views.values())
    assert len({view.numpy().tobytes() for view in views.values()}) == len(VIEWS)


def test_activations_are_gathered_from_the_view_whose_turn_it_is():
    plain, mirror = torch.arange(10.0)[:, None], 100 + torch.arange(10.0)[:, None]
    values = torch.cat([plain, mirror]).half()
    samples = Samples(values, torch.arange(20).view(2, 10), torch.arange(10), ("identity", "mirror"))
    for epoch in (0, 1):
        inputs, labels = (torch.cat(parts) for parts in zip(*epoch_of(samples, epoch), strict=True))
        assert torch.equal(inputs[:, 0] % 100, labels.float())
    assert len({(inputs[:, 0] >= 100).sum().item() for inputs, _ in epoch_of(samples, 0)} | {0}) > 1


@pytest.mark.parametrize("view", [0, 1])
def test_evaluation_sees_every_image_in_order_under_one_view(view):
    part = numbered(7)
    inputs, labels = (
        torch.cat(p) for p in zip(*in_order(samples_of(part, ("identity", "mirror")), view, 3, CPU), strict=True)
    )
    images = torch.from_numpy(part[0]).permute(0, 3, 1, 2)
    assert torch.equal(inputs, images.flip(-1) if view else images)
    assert labels.tolist() == list(range(7))


def test_mixup_blends_inputs_in_pairs_and_their_labels_by_the_same_share():
    torch.manual_seed(0)
    labels = torch.arange(16)
    inputs = F.one_hot(labels, 16) * 200  # each input says whose it is
    blended, [(own, share), (others, rest)] = mixed(inputs.byte(), labels, 0.4)
    assert share >= rest > 0 and share + rest == pytest.approx(1)
    assert own.equal(labels) and others.sort().values.equal(labels) and not others.equal(labels)
    torch.testing.assert_close(blended, inputs * share + F.one_hot(others, 16) * 200 * rest)


def test_without_mixup_inputs_and_labels_stay_as_they_are():
    inputs, labels = torch.rand(4, 2), torch.arange(4)
    same, targets = mixed(inputs, labels, 0.0)
    assert same is inputs and targets == [(labels, 1.0)]


def test_samples_may_be_some_rows_of_a_larger_collection():
    images, labels = numbered()
    chosen = np.array([7, 2, 5])
    samples = Samples.of_images(images, chosen, labels[chosen], ("identity", "mirror"), CPU)
    inputs, named = (torch.cat(p) for p in zip(*in_order(samples, 0, 2, CPU), strict=True))
    assert torch.equal(inputs.permute(0, 2, 3, 1), torch.from_numpy(images[chosen]))
    assert named.tolist() == chosen.tolist()
    for inputs, named in epoch_of(samples, 0, batch_size=3):
        either = (torch.from_numpy(images)[named], torch.from_numpy(images)[named].flip(2))
        found = inputs.permute(0, 2, 3, 1)
        assert all(any(torch.equal(found[i], kind[i]) for kind in either) for i in range(3))
