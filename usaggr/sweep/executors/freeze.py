"""Imported last by the server of the workers: what is loaded by then is never looked at by a garbage collection again.

A collection writes into every object that it looks at: each worker would copy most of the server's memory for itself.
"""

import gc

gc.collect()
gc.freeze()
