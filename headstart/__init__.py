"""headstart: does a pre-trained network give you a head start, and how much of it should you retrain?"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headstart.data.arrays import from_arrays
    from headstart.data.audit import Audit, check
    from headstart.data.dataset import Dataset, Split
    from headstart.data.load import load
    from headstart.errors import HeadstartError
    from headstart.experiments.compare import compare
    from headstart.experiments.estimator import HeadstartClassifier
    from headstart.experiments.learning_curve import learning_curve
    from headstart.experiments.show import show
    from headstart.inference.classifier import Classifier
    from headstart.inference.export import export
    from headstart.inference.predict import predict
    from headstart.report import figures
    from headstart.results.comparison import Comparison
    from headstart.results.learning_curve import Curve
    from headstart.strategies import STRATEGIES, Strategy

__version__ = "0.1.0"
__all__ = [
    "STRATEGIES",
    "Audit",
    "Classifier",
    "Comparison",
    "Curve",
    "Dataset",
    "HeadstartClassifier",
    "HeadstartError",
    "Split",
    "Strategy",
    "check",
    "compare",
    "export",
    "figures",
    "from_arrays",
    "learning_curve",
    "load",
    "predict",
    "show",
]

_HOMES = {  # public name -> its module, imported when the name is first used: importing headstart must stay quick
    "STRATEGIES": "strategies",
    "Audit": "data.audit",
    "Classifier": "inference.classifier",
    "Comparison": "results.comparison",
    "Curve": "results.learning_curve",
    "Dataset": "data.dataset",
    "HeadstartClassifier": "experiments.estimator",
    "HeadstartError": "errors",
    "Split": "data.dataset",
    "Strategy": "strategies",
    "check": "data.audit",
    "compare": "experiments.compare",
    "figures": "report.figures",
    "export": "inference.export",
    "from_arrays": "data.arrays",
    "learning_curve": "experiments.learning_curve",
    "load": "data.load",
    "predict": "inference.predict",
    "show": "experiments.show",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'headstart' has no attribute {name!r}")
    home = import_module(f"headstart.{_HOMES[name]}")
    return getattr(home, name, home)  # `figures` is a module: its own home


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
