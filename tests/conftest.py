"""The fixtures that smx offers to everybody are those of its own tests.

Hypothesis: no deadlines, since a loaded machine is no fault of the code; in CI the same examples each time, at a desk new ones.
"""

import os

from hypothesis import settings

pytest_plugins = ["smx.testing.plugin"]

settings.register_profile("desk", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "desk")
