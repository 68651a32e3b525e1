"""From files to parameters: find, fetch, hash and read weights, and give every tensor its place."""
