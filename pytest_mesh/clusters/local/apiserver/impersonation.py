"""``Impersonate-User`` and its like: one user acting as another, if RBAC lets it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from pytest_mesh.clusters.local.apiserver import errors
from pytest_mesh.clusters.local.apiserver.rights import Wish
from pytest_mesh.clusters.local.apiserver.users import UserInfo

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

    from pytest_mesh.clusters.local.apiserver.rights import Authorizer

USER, GROUP, UID, EXTRA = "Impersonate-User", "Impersonate-Group", "Impersonate-Uid", "Impersonate-Extra-"
_EXTRA = EXTRA.lower()
AUTHENTICATED = "system:authenticated"
_ACCOUNT = "system:serviceaccount:"


def acting(user: UserInfo, headers: CIMultiDictProxy[str], authorizer: Authorizer) -> UserInfo:
    """Give the user that a request acts as; raises StatusError 403 where that is not allowed."""
    name, groups, uid = headers.get(USER, ""), headers.getall(GROUP, []), headers.get(UID, "")
    extra: dict[str, tuple[str, ...]] = {}
    for header in dict.fromkeys(key.lower() for key in headers if key[: len(EXTRA)].lower() == _EXTRA):
        extra[unquote(header.removeprefix(_EXTRA))] = tuple(headers.getall(header))
    if not name:
        if groups or uid or extra:
            raise errors.StatusError(500, "InternalError", "Internal Server Error: impersonation without a user")
        return user
    wishes = [
        _account_wish(name)
        if name.startswith(_ACCOUNT) and name.count(":") == 3
        else Wish(verb="impersonate", resource="users", name=name)
    ]
    wishes += [Wish(verb="impersonate", resource="groups", name=group) for group in groups]
    if uid:
        wishes.append(Wish(verb="impersonate", group="authentication.k8s.io", resource="uids", name=uid))
    for key, values in extra.items():
        wishes += [
            Wish(verb="impersonate", group="authentication.k8s.io", resource="userextras", subresource=key, name=value)
            for value in values
        ]
    for wish in wishes:
        authorizer.check(user, wish)
    given = list(groups)
    if not given and name.startswith(_ACCOUNT) and name.count(":") == 3:
        given = ["system:serviceaccounts", f"system:serviceaccounts:{name.split(':')[2]}"]
    if AUTHENTICATED not in given and name != "system:anonymous":
        given.append(AUTHENTICATED)
    return UserInfo(username=name, uid=uid, groups=tuple(given), extra=extra)


def _account_wish(name: str) -> Wish:
    namespace, account = name.split(":")[2:]
    return Wish(verb="impersonate", resource="serviceaccounts", namespace=namespace, name=account)
