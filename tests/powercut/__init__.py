"""Power cuts: whatever a program was told to be stable is there, wherever the power goes."""
