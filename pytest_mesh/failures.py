"""What a check can raise, and which verdict each exception is.

::

    MeshError
    ├── MeshFailure (also AssertionError)   the mesh is wrong: failed, exit code 1
    │   ├── SplitFailure                    answers do not come by the claimed weights
    │   ├── NotConverged                    configuration did not reach the proxies within its budget
    │   ├── Refused                         the API refused a document; names the field and the rule
    │   └── WorkloadFailure                 a pod cannot start; carries its events and last log lines
    ├── Inconclusive                        neither proven nor refuted: exit code 10
    └── Infrastructure                      the environment is broken: exit code 10

No exception here is ever turned into a skip.
"""

from __future__ import annotations

from typing import Any


class MeshError(Exception):
    """Root of what this plugin raises."""


class MeshFailure(MeshError, AssertionError):  # noqa: N818 - it reads as what it says
    """The mesh does not do what it should."""


class SplitFailure(MeshFailure):
    """Answers do not come by the claimed weights."""


class NotConverged(MeshFailure):
    """Configuration did not reach the proxies within the implementation's budget."""


class Refused(MeshFailure):
    """The API server, or a webhook behind it, refused a document."""


class WorkloadFailure(MeshFailure):
    """A pod cannot start."""


class Inconclusive(MeshError):  # noqa: N818
    """The sample neither proves nor refutes the claim."""


class Infrastructure(MeshError):  # noqa: N818
    """The environment (machine, cluster, API server) does not work; the mesh is not blamed."""


def hidden(excinfo: Any) -> bool:
    """Whether pytest leaves the frames of the module out of a traceback: those that set it as ``__tracebackhide__``.

    What a :class:`MeshError` says is enough; of any other exception every frame is shown.
    """
    return isinstance(excinfo.value, MeshError)
