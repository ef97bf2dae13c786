"""The ROS nodes: thin classes that connect topics to the core."""
