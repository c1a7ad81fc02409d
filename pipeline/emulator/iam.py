"""IAM, as far as clients of the text generation API need it: tokens, and who an account is.

A JWT or an OAuth token is exchanged for an IAM token. Lengths are those of the API's definitions;
an OAuth token that is not known is repeated in the refusal, as the service does with API keys, and
clients must not pass that on.
"""

from collections.abc import Mapping

from pipeline.codec import Json
from pipeline.emulator import chance, keys
from pipeline.emulator.access import issued_token
from pipeline.emulator.fields import Fields
from pipeline.emulator.issued import IamToken
from pipeline.emulator.model import Config, Service
from pipeline.emulator.refusals import Forbidden, Invalid, NotFound, Unauthenticated

_JWT = "jwt"
_OAUTH = "yandexPassportOauthToken"
_LONGEST = {_JWT: 8_000, _OAUTH: 4_000}
_OAUTH_BEGINS = ("y0_", "y1_", "y2_", "y3_")


def exchange(service: Service, body: Json, now: float) -> IamToken:
    """Issue a token for what the body holds, or raise a `Refusal`."""
    fields = Fields(body, f"{_JWT} {_OAUTH}")
    given = fields.one_of(_JWT, _OAUTH)
    if given is None:
        raise Invalid(f"One of {_JWT} and {_OAUTH} must be set")
    text = fields.text(given)
    if len(text) > _LONGEST[given]:
        raise Invalid(f"{given}: must be at most {_LONGEST[given]} characters long")
    return _for_jwt(service, text, now) if given == _JWT else _for_oauth(service, text, now)


def check_account(service: Service, headers: Mapping[str, str], account: str, now: float) -> None:
    """Raise unless the caller is the service account that it asks about."""
    token = issued_token(service, headers, now)
    if account not in {
        service.created_by,
        *(k.service_account_id for k in service.config.sa_keys),
    }:
        raise NotFound(f"Service account {account} not found")
    if token is None or token.account != account:
        raise Forbidden(f"Permission to [iam.serviceAccount {account}] denied")


def _for_jwt(service: Service, jwt: str, now: float) -> IamToken:
    key = keys.signer(jwt, service.config.sa_keys, service.said(now))
    return service.issued.issue("jwt", key.service_account_id, key.id, now)


def _for_oauth(service: Service, oauth: str, now: float) -> IamToken:
    if not _known(service.config, oauth):
        raise Unauthenticated(f"Unknown OAuth token '{oauth}'")
    user = chance.identifier("aje", chance.draw(service.config.seed, "user", oauth))
    return service.issued.issue("oauth", user, oauth, now)


def _known(config: Config, oauth: str) -> bool:
    if config.takes_any:
        return oauth.startswith(_OAUTH_BEGINS)
    return oauth in config.oauth_tokens | config.forbidden
