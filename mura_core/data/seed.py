"""The seed that everything takes by default, from the command line and from Python.

Data that names no split is split by it, so runs and extractions of the same data agree on who
trains.
"""

DEFAULT_SEED = 2019
