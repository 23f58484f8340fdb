"""Mutants: plausible faults, put in one at a time, to see which tests notice them. `python -m benchmarks.mutants`.

A catalogue of faults picked by hand, and not the mutants of a tool. mutmut and cosmic-ray change operators, constants
and names everywhere: about a mutant a line, over ten thousand for these sources, many of them in messages and layout.
Trying them takes days, and their share says little. The faults that hurt here change the meaning, not an operator: a
cache key without the masks, a count of samples where subjects are meant, a loss in half precision. mutmut 3 mutates
nothing outside of functions; cosmic-ray runs one command for every mutant. Here each mutant meets only the tests that
execute its lines, known from one run under coverage.
"""
