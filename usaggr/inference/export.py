"""Export of a run's model: one ONNX file, whose outputs are compared with the model's, and a model card."""

import json
from dataclasses import dataclass
from pathlib import Path

from usaggr.errors import ConfigError, RunError
from usaggr.inference.model_card import make_card
from usaggr.io.atomic_files import make_write_error, replace_file, write_atomic
from usaggr.io.checksums import hash_file
from usaggr.progress import Progress
from usaggr.results.trained_model import read_stored_run

TOLERANCE = 1e-4
"""Largest allowed difference between outputs of file and model, relative to a task's largest output if above 1."""
COMPARED_IMAGES = 3
"""Number of images of noise on which file and model are compared."""


@dataclass(frozen=True)
class ExportResult:
    """Files that an export has written."""

    onnx: Path
    card: Path
    difference: float
    """Largest difference between outputs of the file and of the model."""


def export(run: Path, out: Path | None, progress: Progress) -> ExportResult:
    """Write a run's model as ONNX and its card; nothing is written if the comparison fails.

    Args:
        run: Folder of the run.
        out: File that ends in .onnx; None: the run's name, in the current folder. The card's file ends in .json.
        progress: Receives the steps of the export.

    Raises:
        ConfigError: `out` has another suffix, or a package is not installed.
        RunError: The run is not finished or has no weights, its network cannot be written, or the outputs differ.
    """
    out = Path(f"{run.resolve().name}.onnx") if out is None else out
    if out.suffix != ".onnx":
        raise ConfigError(f"--out: must end in .onnx; got {out}")
    stored = read_stored_run(run)
    from usaggr.inference.loaded_model import Model, load_network
    from usaggr.inference.onnx_graph import compute_largest_difference, is_conditioned, require_onnx, write_onnx

    require_onnx()
    try:
        progress.start("exporting: network, graph, comparison, card", 4)
        model = Model(stored, "cpu")
        progress.advance()
        out.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(out, single_writer=True) as temporary:
            # A second network, because writing changes it and the model is needed for the comparison.
            write_onnx(load_network(stored), list(stored.tasks.values()), stored.size, stored.channels, temporary)
            progress.advance()
            difference = compute_largest_difference(model, temporary, COMPARED_IMAGES)
            if not difference <= TOLERANCE:  # also true for NaN
                raise RunError(
                    f"{stored.run_id}: outputs of the exported graph differ from the model's by {difference:.2g}, "
                    f"allowed are {TOLERANCE:g}; nothing was written"
                )
            progress.advance()
            digest = hash_file(temporary)
            compared = {"runtime": "onnxruntime, CPU", "images": COMPARED_IMAGES, "largest_difference": difference}
            compared["allowed"] = TOLERANCE
            file = {"name": out.name, "format": "ONNX", "sha256": digest, "compared": compared}
            card = json.dumps(make_card(stored, is_conditioned(model.network), file), indent=1)
        write_atomic(out.with_suffix(".json"), card + "\n")
        progress.advance()
    except RunError:
        raise
    except OSError as error:
        raise make_write_error(out, error) from error
    finally:
        progress.finish()
    return ExportResult(out, out.with_suffix(".json"), difference)
