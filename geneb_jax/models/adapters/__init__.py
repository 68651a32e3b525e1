"""Models that are not native: transformers, GENEB extractors, objects of the user's own."""
