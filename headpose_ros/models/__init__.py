"""The networks (PyTorch), and what is known of them and of their weights without it."""
