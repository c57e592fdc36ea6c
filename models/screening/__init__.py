"""Records in, records out, as pure steps: the same state and record give the same result, on a gateway and on the hub."""
