"""What families of one kind share: how config.json is read and where tensors belong."""
