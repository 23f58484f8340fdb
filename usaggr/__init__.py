"""usaggr compares ways of grouping ultrasound tasks into shared models, and reports the evidence for each."""

from usaggr.safe_path import remove_current_folder

remove_current_folder()  # before any other import

from usaggr.inference.load import load  # noqa: E402
from usaggr.io.matplotlib_backend import replace_unusable_backend  # noqa: E402
from usaggr.torchvision_ops import install  # noqa: E402

__all__ = ["load"]
__version__ = "0.1.0"

replace_unusable_backend()
install()
