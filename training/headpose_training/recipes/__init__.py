"""Recipes: one file for each weights file, from data to the card."""
