"""Lightning modules: one training system per network."""
