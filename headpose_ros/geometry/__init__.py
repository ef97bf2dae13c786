"""Rotations, camera models, the face frame, crops and landmark schemes. NumPy and SciPy only."""
