"""The simulated devices of the demo: how each is plugged in, what the gateway's settings say of it, what can go wrong with it."""
