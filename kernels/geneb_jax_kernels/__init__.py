"""Pure array operations, one module each; they import only jax and numpy."""
