"""Ways to run a network, all from the same crops to the same named arrays.

`choose.py` says which of them is tried when; every other module here is one of them or what they
share.
"""
