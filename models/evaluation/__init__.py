"""How findings compare with a reference, by the rules of ANSI/AAMI EC57: beats, episodes, and how sure the numbers are."""
