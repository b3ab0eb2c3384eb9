"""A short list of pre-trained networks to choose from, and what licences of weights allow. Nothing here needs torch."""

from __future__ import annotations

from dataclasses import dataclass

UNKNOWN = "unknown"  # the licence of weights that nobody tells of
FREE = ("apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0")  # for any use, commercial too, where its text is passed on
NON_COMMERCIAL = ("cc-by-nc-4.0", "fair-noncommercial-research-license", "apple-amlr")


@dataclass(frozen=True)
class Listed:
    """A row of the short list.

    parameters: millions, without the classifier. multiply_adds: thousand millions for one image at `image_size`, which
    is what this product shows it. top1: on ImageNet's val, at the size that it was tested at; None where nobody
    measured it with a classifier of its own. licence: of the weights. size: what it is called on the command line
    beside its name. docs/decisions/backbones.md has the sources.
    """

    name: str
    parameters: float
    multiply_adds: float
    image_size: int
    top1: float | None
    licence: str
    size: str = ""


LISTED = {
    row.name: row
    for row in (
        Listed("mobilenetv3_large_100.ra_in1k", 4.20, 0.159, 192, 0.758, "apache-2.0"),
        Listed("tf_efficientnet_lite0.in1k", 3.37, 0.282, 192, 0.748, "apache-2.0", "small"),
        Listed("tf_efficientnet_b0.aa_in1k", 4.01, 0.283, 192, 0.768, "apache-2.0"),
        Listed("tf_efficientnet_lite1.in1k", 4.14, 0.368, 192, 0.766, "apache-2.0"),
        Listed("tf_efficientnet_lite2.in1k", 4.81, 0.423, 192, 0.775, "apache-2.0"),
        Listed("deit_tiny_patch16_224.fb_in1k", 5.52, 1.253, 224, 0.722, "apache-2.0"),
        Listed("resnet18.a1_in1k", 11.18, 1.332, 192, 0.732, "apache-2.0"),
        Listed("convnext_nano.in12k_ft_in1k", 14.95, 1.796, 192, 0.829, "apache-2.0", "medium"),
        Listed("convnextv2_nano.fcmae_ft_in1k", 14.98, 1.796, 192, 0.825, "cc-by-nc-4.0"),
        Listed("resnet50.tv2_in1k", 23.51, 3.003, 192, 0.809, "bsd-3-clause"),
        Listed("convnext_tiny.in12k_ft_in1k", 27.82, 3.273, 192, 0.845, "apache-2.0", "large"),
        Listed("vit_base_patch32_clip_224.laion2b", 87.46, 4.408, 224, None, "apache-2.0"),
        Listed("vit_small_patch16_dinov3.lvd1689m", 21.59, 6.245, 256, None, "dinov3-license"),
        Listed("vit_small_patch14_dinov2.lvd142m", 22.06, 46.697, 518, None, "apache-2.0"),
    )
}
SIZES = {row.size: row.name for row in LISTED.values() if row.size}


def caution(name: str, licence: str) -> str:
    """What to say wherever a network of weights under this licence is recommended; empty where it is free."""
    if licence in FREE:
        return ""
    if licence in NON_COMMERCIAL:
        return f"The weights of {name} are not free for commercial use: {licence}."
    if licence == UNKNOWN:
        return f"Nobody tells under which licence the weights of {name} are: ask before they are used commercially."
    return f"The weights of {name} are under terms of their own, {licence}: read them before commercial use."
