"""Critical-value items of a tenant: versions that people made, which is in force, and which each gateway goes by."""
