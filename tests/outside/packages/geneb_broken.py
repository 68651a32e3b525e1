"""A package whose import fails, as with a library that is not there."""

raise ImportError("libmissing.so: cannot open shared object file")
