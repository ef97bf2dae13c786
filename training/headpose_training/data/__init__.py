"""Datasets, labels and augmentation."""
