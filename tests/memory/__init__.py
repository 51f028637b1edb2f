"""Homes, and the memory of a gateway's machine, in dictionaries: what the simulator and many tests
run on. Each passes the tests of what it stands for."""
