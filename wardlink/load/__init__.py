"""Many simulated gateways at a real hub: how long a sample is on its way, what the hub spends, whether all is there at the end."""
