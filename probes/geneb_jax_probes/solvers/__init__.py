"""What is minimised, from where, to what promise: one file a solver, chosen by name."""
