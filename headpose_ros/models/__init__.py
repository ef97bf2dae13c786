"""The networks: published ones, our small student, their registry and weights. Torch only."""
