"""A small package of another project that adds a model, a suite, a probe and a solver."""
