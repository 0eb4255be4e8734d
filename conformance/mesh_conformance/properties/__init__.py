"""Properties: generated configurations on the live data plane, judged by the oracle; a failure comes back minimal."""
