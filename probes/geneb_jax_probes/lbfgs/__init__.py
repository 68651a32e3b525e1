"""L-BFGS over many problems at once: the algorithm alone, which knows nothing of X."""
