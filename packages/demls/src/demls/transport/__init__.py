"""Carrying sealed envelopes between nodes; nothing here knows what the bytes mean."""
