"""One module a file format; each turns the bytes of a file into values and raises DecodeError for a file that cannot be read."""
