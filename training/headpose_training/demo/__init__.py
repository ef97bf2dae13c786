"""Demonstrations: rendered drives through real nodes. The one room that knows ROS."""
