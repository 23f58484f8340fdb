"""Lightning's trainer as runs use it: quiet, without checkpoints of its own, on the device that the executor names."""

import logging
import warnings
from collections.abc import Sequence

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.lightning import LightningEnvironment

from usaggr.config.study import StudyConfig
from usaggr.results.spec import Placement
from usaggr.tracking.lightning_logger import Tracker


def make_trainer(
    study: StudyConfig, placement: Placement, tracker: Tracker | None, parts: int, callbacks: Sequence[pl.Callback] = ()
) -> pl.Trainer:
    """Lightning's trainer of a run with so many parts, quiet but for its tracker."""
    training = study.training
    # Its notes on hardware and products say nothing of a run.
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    # Batches come from a memory map: Lightning's advice to use loader processes does not apply.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    # A sweep trains in workers of its own, also where Slurm is installed.
    warnings.filterwarnings("ignore", message=".*The `srun` command is available on your system but is not used.*")
    # Parts of a run may be shorter than the interval between two entries of a logger.
    warnings.filterwarnings(
        "ignore", message=".*The number of training batches.*is smaller than the logging interval.*"
    )
    # Lightning 2.6 uses a name that torch 2.13 deprecates; nothing that a user could change.
    warnings.filterwarnings("ignore", message=".*isinstance\\(treespec, LeafSpec\\)` is deprecated.*")
    return pl.Trainer(
        max_epochs=parts,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        accelerator=training.accelerator,
        devices=[placement.device] if placement.device is not None else 1,
        precision=training.precision,
        gradient_clip_val=training.gradient_clip,
        callbacks=list(callbacks),
        # A job of a cluster trains several runs: Lightning must not take its signals for its own.
        plugins=[LightningEnvironment()],
        logger=False if tracker is None else tracker,
        log_every_n_steps=1 if tracker is None else tracker.every,
        deterministic="warn",
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
