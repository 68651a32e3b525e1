"""Networks and their parts: pure functions of parameters and tokens, which know no file."""
