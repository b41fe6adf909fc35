"""From motion recordings to a verified microcontroller firmware."""

import os

# Read by OpenMP when torch is loaded. Threads that wait for each other must sleep, not spin: on two cores that
# something else uses as well, a spinning pair made training 13 times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
