"""The clocks of devices as the hub has them: their segments, and putting the times of one right afterwards."""
