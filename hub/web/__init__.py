"""The role web: one FastAPI application made of the features' routes; leaves what they do to the features."""
