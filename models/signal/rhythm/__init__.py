"""Names of rhythms from the times of beats."""
