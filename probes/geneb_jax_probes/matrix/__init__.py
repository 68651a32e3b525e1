"""How X is read: laid out, held whole or streamed, by features or by rows, sampled, factored."""
