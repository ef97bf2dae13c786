"""Driver monitoring: faces of consecutive images in, the driver's state and events out.

One image goes through three steps, each in a folder of its own:

- `signals`: what is measured of the image. Unknown is NaN or None, and never filled in.
- `detectors`: what the signals mean over time: one class for each kind of episode.
- `state`: what is reported. `learning` decides what is learned about the driver, and when.

`monitor.DriverMonitor` puts them together. Nothing here needs ROS.
"""
