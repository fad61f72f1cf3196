"""The default random seed, on the command line and in Python.

It determines the split of data without one, so runs and extractions of the same data have the
same training patients.
"""

DEFAULT_SEED = 2019
