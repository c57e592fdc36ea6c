"""Following one message of a device through the hops that it takes."""
