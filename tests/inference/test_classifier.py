from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from headstart.inference.classifier import BATCH_PIXELS, Classifier
from headstart.models.network import Network
from headstart.models.preprocessing import Preprocessing


@pytest.mark.parametrize(("inside", "most"), [(256, BATCH_PIXELS // 256**2), (None, BATCH_PIXELS // 64**2)])
def test_a_batch_is_as_large_as_the_images_are_where_the_network_looks_at_them(inside, most):
    network = Network(nn.Sequential(Preprocessing((0.5,) * 3, (0.5,) * 3, inside)), nn.Flatten())
    images = np.zeros((most + 1, 64, 64, 3), np.uint8)
    batches = Classifier(network, ("a", "b"), (64,)).batches(images)
    assert [len(batch) for batch in batches] == [most, 1]
