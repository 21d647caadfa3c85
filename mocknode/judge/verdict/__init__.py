"""Pure conclusions from a history: calibration, detection, what a check may know, and the outcomes it can give."""
