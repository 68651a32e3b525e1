"""The MLP probe: its recipe, its training, its tasks."""
