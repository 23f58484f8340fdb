"""usaggr: should my ultrasound tasks share one model? Experiment sweeps over ways of grouping tasks, with evidence."""

from usaggr.inference.load import load
from usaggr.torchvision_ops import install

__all__ = ["load"]
__version__ = "0.1.0"

install()
