"""What signals mean: detectors and screening, without I/O and without a clock of their own."""
