"""What people use around the nodes: videos, plots, bags and a live page."""
