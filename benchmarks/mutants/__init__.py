"""Mutation tests: plausible faults, inserted one at a time, to see which tests fail. `python -m benchmarks.mutants`.

The mutants are a catalog of hand-picked faults instead of the output of a tool. mutmut and cosmic-ray change operators,
constants and names everywhere: about one mutant per line, more than ten thousand for these sources, many of them in
messages and layout. Trying them takes days, and the share of killed ones says little. The harmful faults here change a
meaning, not an operator: a cache key without the masks, a count of samples instead of subjects, a loss in half
precision. Moreover, mutmut 3 mutates nothing outside of functions, and cosmic-ray runs one command for all mutants.
Here each mutant is tried with only the tests that execute its lines, as recorded in one run under coverage.
"""
