"""Settings of all tests of the workspace."""

from hypothesis import HealthCheck, settings

# A machine may be busy: how long an example takes says nothing about the code. Speed is measured by `make bench`.
settings.register_profile("demls", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("demls")
