"""Hypothesis's profiles ``ci`` and ``nightly``: how much a run generates. Registered when ``--hypothesis-profile`` is given."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.errors import InvalidArgument

OPTION = "--hypothesis-profile"
EXAMPLES = {"ci": 100, "nightly": 1000}
"""Generated configurations by profile; without one there are as many as under ``ci``."""


def register() -> None:
    """Make the profiles known; a conftest may register others, and these names anew."""
    for name, number in EXAMPLES.items():
        settings.register_profile(name, max_examples=number, deadline=None, suppress_health_check=list(HealthCheck))


class Known:
    """A plugin that refuses a profile which nobody registered, before Hypothesis's own plugin fails on it."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Raise ``pytest.UsageError`` for an unknown profile."""
        chosen = config.getoption("hypothesis_profile")
        try:
            settings.get_profile(chosen)
        except InvalidArgument:
            names = ", ".join(EXAMPLES)
            raise pytest.UsageError(f"{OPTION}: unknown profile {chosen!r}; this plugin has: {names}") from None
