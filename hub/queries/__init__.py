"""Asking for measurements and names: the latest values, a range at the width of a picture, a search by name, many of these at once."""
