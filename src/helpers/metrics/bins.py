"""Old module name, until the second house is done: `calibration`."""

from .calibration import assign_equal_width as assign_equal_width
