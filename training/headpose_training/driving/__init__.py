"""Drives with exact truth, and how well the driver monitor tells what happens in them."""
