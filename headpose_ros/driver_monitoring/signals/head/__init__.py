"""The head: where it points relative to the driver's neutral pose, which is learned.

`postures` is a histogram of where the head pointed, `neutral` finds the neutral pose in it,
`reseating` finds another one after the driver or the camera has moved; `direction` is the signal.
"""
