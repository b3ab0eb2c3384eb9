"""The backbones that were asked for, as far as their weights can be had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from headstart.errors import HeadstartError
from headstart.experiments.trial import weights_of
from headstart.models.backbones import AUTO, WeightsError, check_name, load_backbone
from headstart.networks import SIZES
from headstart.options import Options
from headstart.runtime.console import say
from headstart.strategies import STRATEGIES, Weights


@dataclass(frozen=True)
class Found:
    """weights: of each backbone that is there, in the order in which they were asked for; none where no strategy needs
    one. missing: name -> why its weights could not be had."""

    weights: tuple[Weights, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)

    def as_json(self, *keys: str) -> Any:
        """These fields of the weights, as request.json keeps them: a dict a backbone, a list where there are several,
        None where there is none."""
        content = [{key: getattr(each, key) for key in keys} for each in self.weights]
        return content if len(content) > 1 else next(iter(content), None)


def find_backbones(options: Options, begun: Mapping[str, Any] | None = None) -> Found:
    """The pre-trained weights that the strategies asked for need.

    begun: the request of a comparison that goes on, or of what it is a part of: what was missing then is not looked
    for, and "auto" is what it was then.
    Raises HeadstartError, before any weights are looked for, for a name that is none or has no pre-trained weights; and
    where those of the only backbone, or of all, cannot be had. A network that is named twice is taken once.
    """
    if not any(STRATEGIES[name].network == "backbone" for name in options.strategies):
        return Found()
    for name in options.backbone if options.weights is None else ():
        check_name(name)
    missing: dict[str, str] = {} if begun is None else dict(begun.get("missing", {}))
    found: dict[str, Weights] = {}
    named = {SIZES.get(name, name) for name in options.backbone}
    auto = next((name for name in _names(begun) if name not in named), AUTO)
    for name in options.backbone:
        if name in missing:
            say(f"{name} is left out, as it was when this comparison began: {missing[name]}")
            continue
        try:
            backbone = load_backbone(name, options.image_size, options.weights, options.offline)
            if name == AUTO and auto not in (AUTO, backbone.name):  # other weights can be had by now, or no more
                backbone = load_backbone(auto, options.image_size, options.weights, options.offline)
                backbone = replace(backbone, why="auto: what it was at the beginning")
        except WeightsError as error:
            if len(options.backbone) == 1 or begun is not None:
                raise
            missing[name] = error.reason
            say(f"{error}; the others go on")
            continue
        if backbone.name in found:
            say(f"{backbone.name} was named twice: it is taken once")
            continue
        found[backbone.name] = weights_of(backbone, options.weights, options.offline)
    if not found:
        name, why = next(iter(missing.items()))
        raise HeadstartError(f"none of the backbones can be had; {name}: {why}")
    return Found(tuple(found.values()), missing)


def _names(request: Mapping[str, Any] | None) -> list[str]:
    """The backbones that a comparison began with."""
    weights = (request or {}).get("weights") or []
    return [each["name"] for each in (weights if isinstance(weights, list) else [weights])]
