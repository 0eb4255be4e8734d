"""Who makes a request. It does not decide who that is: ``authentication`` does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_mesh.contracts import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class UserInfo:
    """A subject as ``authentication.k8s.io`` describes it."""

    username: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def to_json(self) -> Json:
        """Give the ``UserInfo`` object; empty parts are left out."""
        user: Json = {"username": self.username}
        if self.uid:
            user["uid"] = self.uid
        if self.groups:
            user["groups"] = list(self.groups)
        if self.extra:
            user["extra"] = {key: list(values) for key, values in self.extra.items()}
        return user


ADMIN = UserInfo(username="kubernetes-admin", groups=("system:masters", "system:authenticated"))
