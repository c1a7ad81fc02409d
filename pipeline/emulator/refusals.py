"""Why a call is turned down, as the service would say it; the face chooses the body for it.

Refusal
├── Malformed        400  the gateway could not read the body as the message it must be
├── Invalid          400  it could be read, and says something that the service does not take
│   └── InSession    400  the same, found once a model's session was open: the text gains a prefix
├── NotCancellable   400
├── Unauthenticated  401
├── Forbidden        403
├── NotFound         404
├── OverQuota        429
├── Internal         500
├── Unimplemented    501
└── Unavailable      503
"""


class Refusal(Exception):
    """One call is turned down; ``str()`` is the message that the service sends."""

    status: int
    code: int
    """The number in ``google.rpc.Code``."""


class Malformed(Refusal):
    """The gateway can't read the body."""

    status, code = 400, 3


class Invalid(Refusal):
    """The service does not take what the body says."""

    status, code = 400, 3


class InSession(Invalid):
    """Found after the model's session was opened, so the message names the session."""


class NotCancellable(Refusal):
    """Generation changes no resource, and only operations that do can be cancelled."""

    status, code = 400, 9


class Unauthenticated(Refusal):
    """No credential, or none that is known."""

    status, code = 401, 16


class Forbidden(Refusal):
    """The credential is known and lacks the role."""

    status, code = 403, 7


class NotFound(Refusal):
    """Never existed, somebody else's, or no longer kept."""

    status, code = 404, 5


class OverQuota(Refusal):
    """More calls than a quota allows."""

    status, code = 429, 8


class Internal(Refusal):
    """Something broke; the model never says so by itself."""

    status, code = 500, 13


class Unimplemented(Refusal):
    """The path exists, not with this method."""

    status, code = 501, 12


class Unavailable(Refusal):
    """Nobody is there to answer; the model never says so by itself."""

    status, code = 503, 14
