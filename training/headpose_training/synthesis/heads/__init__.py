"""Heads that can be rendered: where they come from and what they can do."""
