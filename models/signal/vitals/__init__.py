"""Vital signs from waves other than the ECG's QRS: pulse of a plethysmogram or a pressure, breaths, how far a saturation is to be believed."""
