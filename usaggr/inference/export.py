"""Exports a run's model: one ONNX file, compared with the model itself, and its card beside it."""

import json
from dataclasses import dataclass
from pathlib import Path

from usaggr.errors import ConfigError, RunError
from usaggr.inference.model_card import make_card
from usaggr.io.atomic_files import cannot_write, replacing, write_atomic
from usaggr.io.checksums import file_hash
from usaggr.progress import Progress
from usaggr.results.trained_model import read_stored_run

TOLERANCE = 1e-4
"""By which outputs of the file may differ from the model's, relative to a task's largest output where above 1."""
COMPARED = 3
"""Images of noise that both are compared on."""


@dataclass(frozen=True)
class Exported:
    """What was written."""

    onnx: Path
    card: Path
    difference: float
    """The largest between outputs of the file and of the model."""


def export(run: Path, out: Path | None, progress: Progress) -> Exported:
    """Write a run's model as ONNX, and its card; whole and compared, or not at all.

    Args:
        run: its folder.
        out: file that ends in .onnx; None: the run's name, in the present folder. The card has the ending .json.
        progress: told of steps.

    Raises:
        ConfigError: another ending, or a package is missing.
        RunError: no finished run with its weights; its network cannot be written, or the file computes other numbers.
    """
    out = Path(f"{run.resolve().name}.onnx") if out is None else out
    if out.suffix != ".onnx":
        raise ConfigError(f"--out: {out} does not end in .onnx, as files of that format do")
    stored = read_stored_run(run)
    from usaggr.inference.loaded_model import Model, load_network
    from usaggr.inference.onnx_graph import compute_largest_difference, is_conditioned, require_onnx, write_onnx

    require_onnx()
    try:
        progress.start("exporting: network, graph, comparison, card", 4)
        model = Model(stored, "cpu")
        progress.advance()
        out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(out, single_writer=True) as temporary:
            write_onnx(load_network(stored), list(stored.tasks.values()), stored.size, stored.channels, temporary)
            progress.advance()
            difference = compute_largest_difference(model, temporary, COMPARED)
            if not difference <= TOLERANCE:
                raise RunError(
                    f"{stored.run_id}: the exported graph computes other numbers than the model (by {difference:.2g}, "
                    f"allowed are {TOLERANCE:g}); nothing was written"
                )
            progress.advance()
            digest = file_hash(temporary)
            compared = {"runtime": "onnxruntime, CPU", "images": COMPARED, "largest_difference": difference}
            compared["allowed"] = TOLERANCE
            file = {"name": out.name, "format": "ONNX", "sha256": digest, "compared": compared}
            card = json.dumps(make_card(stored, is_conditioned(model.network), file), indent=1)
        write_atomic(out.with_suffix(".json"), card + "\n")
        progress.advance()
    except RunError:
        raise
    except OSError as error:
        raise cannot_write(out, error) from error
    finally:
        progress.finish()
    return Exported(out, out.with_suffix(".json"), difference)
