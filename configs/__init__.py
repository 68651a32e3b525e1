"""Configuration as data; read it through :func:`geneb_jax.resources.config_folder`."""
