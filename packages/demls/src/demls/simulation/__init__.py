"""The simulator: whole groups in one process, from one seed, with time and faults under its control.

Its model engine (``model_engine``) stands in for the MLS engine where speed and reproducible bytes matter more than
real cryptography. Nothing in this package may be used to protect anything.
"""
