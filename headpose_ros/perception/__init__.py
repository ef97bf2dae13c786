"""Image in, faces out: detect, track, crop, infer, measure, smooth. No ROS."""
