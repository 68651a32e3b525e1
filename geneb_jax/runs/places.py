"""Where results go unless ``--out`` says otherwise; apart, since options name it in their help."""

from __future__ import annotations

__all__ = ["DEMO_OUT", "OUT"]

#: The demo has a folder of its own.
OUT, DEMO_OUT = "geneb-out", "geneb-demo"
