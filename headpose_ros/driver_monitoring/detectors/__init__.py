"""Signals in, events out: one class for each kind of episode.

Each detector has `update(signals, stamp)`, which returns the transitions at a stamp;
`bank.DetectorBank` holds all of them.
"""
