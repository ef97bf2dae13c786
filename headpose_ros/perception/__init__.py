"""Image in, faces out: sources, detection, crops, inference, tracking. No ROS."""
