"""Experiments of papers, done again on any dataset."""
