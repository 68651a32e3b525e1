"""``python -m geneb_jax`` is ``geneb-jax``."""

from geneb_jax.cli.main import main

if __name__ == "__main__":
    main()
