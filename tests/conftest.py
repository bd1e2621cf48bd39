"""The fixtures that smx offers to everybody are those of its own tests."""

pytest_plugins = ["smx.testing.plugin"]
