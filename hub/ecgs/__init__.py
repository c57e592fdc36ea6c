"""Resting ECGs that a cart recorded and handed over as a file: the list of a stay, and each on paper."""
