"""Keeps property tests reproducible."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "demls", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("demls")
