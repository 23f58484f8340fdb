"""usaggr compares ways of grouping ultrasound tasks into shared models, and reports the evidence for each."""

from usaggr.inference.load import load
from usaggr.io.matplotlib_backend import replace_unusable_backend
from usaggr.torchvision_ops import install

__all__ = ["load"]
__version__ = "0.1.0"

replace_unusable_backend()
install()
