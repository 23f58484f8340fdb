"""Use of trained models outside the sweep: loading, prediction and export."""
