"""Lightning trainer of a run, without Lightning's console output and checkpoints."""

import logging
import warnings
from collections.abc import Sequence

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.lightning import LightningEnvironment

from usaggr.config.study import StudyConfig
from usaggr.results.spec import Placement
from usaggr.tracking.lightning_logger import RunLogger


def make_trainer(
    study: StudyConfig,
    placement: Placement,
    logger: RunLogger | None,
    intervals: int,
    callbacks: Sequence[pl.Callback] = (),
) -> pl.Trainer:
    """Make the Lightning trainer of a run; only its logger writes anything.

    Args:
        study: Configuration of the study.
        placement: Device and threads of the run.
        logger: Logger of the run; None: nothing is logged.
        intervals: Number of validation intervals to train; each is one Lightning epoch.
        callbacks: Callbacks of the run.
    """
    training = study.training
    # Its messages on hardware and products do not concern the run.
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    # Batches come from a memory map: Lightning's advice to use loader processes does not apply.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    # A sweep starts its own worker processes, also on machines with Slurm.
    warnings.filterwarnings("ignore", message=".*The `srun` command is available on your system but is not used.*")
    # An interval may have fewer steps than the logger's interval between two entries.
    warnings.filterwarnings(
        "ignore", message=".*The number of training batches.*is smaller than the logging interval.*"
    )
    # Lightning 2.6 uses a name that torch 2.13 deprecates; a user cannot change that.
    warnings.filterwarnings("ignore", message=".*isinstance\\(treespec, LeafSpec\\)` is deprecated.*")
    return pl.Trainer(
        max_epochs=intervals,
        reload_dataloaders_every_n_epochs=1,  # each interval has batches of its own
        num_sanity_val_steps=0,
        accelerator=training.accelerator,
        devices=[placement.device] if placement.device is not None else 1,
        precision=training.precision,
        gradient_clip_val=training.gradient_clip,
        callbacks=list(callbacks),
        # A cluster job trains several runs, so Lightning must not handle the signals of the job.
        plugins=[LightningEnvironment()],
        logger=False if logger is None else logger,
        log_every_n_steps=1 if logger is None else logger.log_every_n_steps,
        deterministic="warn",
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
