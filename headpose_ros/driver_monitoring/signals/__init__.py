"""What is measured of one image: who drives, where the head points, eyes, mouth, the picture.

`extractor.SignalExtractor` makes the `signals.Signals` of an image; unknown is NaN or None.
"""
