"""Tests of a sweep's verdicts on trained networks whose true differences are known; for docs/planted.md."""
