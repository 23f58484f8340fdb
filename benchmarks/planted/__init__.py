"""Whether a sweep's verdicts come out as planted, with networks that are trained: docs/planted.md."""
