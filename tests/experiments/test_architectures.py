"""Networks that are no chain of convolutions: every strategy trains on them, and a heat map shows where they look."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

import headstart as hs
from headstart.inference.explain import heatmaps
from headstart.models.backbones import load_backbone

STRATEGIES = ["frozen", "last20", "last50", "full"]
SIZE = 160


@pytest.mark.parametrize("name", ["test_vit.r160_in1k", "test_convnext.r160_in1k"])
def test_every_strategy_and_heat_map_works_and_what_is_frozen_stays_to_the_last_bit(name, tiny, tmp_path):
    weights = tmp_path / "weights.safetensors"
    save_file(timm.create_model(name).state_dict(), weights)
    given = {"backbone": name, "weights": weights, "image_size": SIZE, "offline": True, "device": "cpu"}
    result = hs.compare(tiny, STRATEGIES, **given, epochs=1, output=tmp_path / "out")
    original, pixels = load_backbone(name, SIZE, weights, offline=True).chain, torch.randint(0, 256, (2, 3, SIZE, SIZE))
    cuts = []
    for run in result.runs:
        classifier, cut = hs.Classifier.load(run.folder), run.config["network"]["cut"]
        pieces = [piece for piece, _ in original.named_children()]
        blocks = [piece for piece in pieces if piece.startswith(("blocks_", "stages_"))]
        assert cut in (0, len(pieces)) or pieces[cut] in blocks
        with torch.inference_mode():
            as_it_was = original.eval().tapped(pixels.byte(), [cut])[0] if cut else pixels.byte()
            assert torch.equal(classifier.network.frozen(pixels.byte()), as_it_was)
        maps = heatmaps(classifier, np.stack([classifier.square(each) for each in tiny.test.images[:2]]), [0, 1])
        assert len(maps) == 2 and all(0 <= each.min() < each.max() <= 1 for each in maps)
        cuts.append(cut)
    assert cuts == sorted(cuts, reverse=True) and len(set(cuts)) == len(STRATEGIES)
