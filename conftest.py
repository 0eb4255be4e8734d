"""The repository's own test configuration: ``pytester`` for the tests of the plugin."""

pytest_plugins = ["pytester"]
