"""Nearest neighbours of descriptors."""

from __future__ import annotations

import numpy as np
from pictures import picture

from headstart.data import candidates as module
from headstart.data.candidates import candidates


def greys(count, side=64):
    return np.stack([np.asarray(picture(seed, 90, 90).convert("L").resize((side, side))) for seed in range(count)])


def found(pictures):
    return [tuple(row) for row in candidates(lambda places: pictures[places], len(pictures))]


def test_a_mirror_image_and_a_centre_are_found_as_what_they_are():
    pictures = greys(60)
    pictures[50] = pictures[3, :, ::-1]
    middle = picture(4, 90, 90).crop((5, 5, 85, 85))
    pictures[51] = np.asarray(middle.convert("L").resize((64, 64)))
    rows = found(pictures)
    assert (3, 50, 1, 0) in rows or (50, 3, 1, 0) in rows
    assert (4, 51, 0, 1) in rows


def test_the_mirrored_descriptor_is_that_of_the_mirrored_picture():
    histograms = module._histograms(greys(100))
    axes = module._axes(histograms)
    mirrored = module._histograms(greys(100)[:, :, ::-1])
    by_pixels, by_signs = (
        (mirrored - axes.mean) @ axes.whitening,
        (histograms - axes.mean) @ axes.whitening @ axes.mirror,
    )
    cosines = np.einsum("ij,ij->i", module._unit(by_pixels), module._unit(by_signs))
    assert cosines.min() > 0.99


def test_no_image_is_its_own_neighbour_and_a_pair_is_there_once():
    pictures = greys(40)
    pictures[20:30] = pictures[10]
    pairs = [(min(row[:2]), max(row[:2])) for row in found(pictures)]
    assert all(low < high for low, high in pairs)
    assert len(pairs) == len(set(pairs))


def test_one_image_has_no_neighbours():
    assert found(greys(1)) == []
