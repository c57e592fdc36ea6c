"""Who and what is where: wards, points of care (beds), and the devices and patients at them, by interval."""
