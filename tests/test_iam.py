"""What is made of everything that IAM and the metadata service can answer."""

import asyncio
import json
from collections.abc import Mapping
from email.utils import formatdate
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from pipeline.auth.credentials import Credential, NoCredentialError
from pipeline.auth.iam import Metadata, OAuth, ServiceAccount
from pipeline.emulator.model import Config
from pipeline.emulator.server import embedded
from pipeline.network.carrier import NoAnswerError, NotSentError, Reply, UndecodableError
from tests.builders import NOW

SHORT = "y0_brief"
SECRET = "y0_of-nobody-in-particular-at-all"  # noqa: S105 - made up
TOKEN = b'{"iamToken": "t1.token", "expiresAt": "2027-01-15T09:00:00Z"}'
ANY = Reply(200, {}, TOKEN)


class Canned:
    """Answers every call alike."""

    def __init__(self, end: Reply | Exception) -> None:
        self._end = end
        self.urls: list[str] = []

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Reply:
        del method, headers, body, timeout
        self.urls.append(url)
        if isinstance(self._end, Exception):
            raise self._end
        return self._end

    async def close(self) -> None: ...


OPEN = NoEncryption()


def pem(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, secret: KeySerializationEncryption = OPEN
) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret).decode()


def exchanged(end: Reply | Exception, secret: str = SECRET) -> Credential:
    return asyncio.run(OAuth("the test", secret, "http://iam").fresh(Canned(end), NOW))


def failure(end: Reply | Exception, secret: str = SECRET) -> NoCredentialError:
    with pytest.raises(NoCredentialError) as raised:
        exchanged(end, secret)
    return raised.value


def test_a_token_is_a_user_s_and_its_end_counts_from_the_answer_s_own_date() -> None:
    # IAM's clock is an hour behind ours: the token lives for two.
    dated = Reply(200, {"date": formatdate(NOW - 3600, usegmt=True)}, TOKEN)
    assert exchanged(dated) == Credential("Bearer", "t1.token", is_users=True, ends_at=NOW + 7200)
    assert exchanged(ANY).ends_at == NOW + 3600


@pytest.mark.parametrize(
    ("end", "may_pass"),
    [
        (NotSentError("ConnectError"), True),
        (NoAnswerError("ReadTimeout"), True),
        (UndecodableError("DecodingError"), True),
        (Reply(500, {}, b""), True),
        (Reply(503, {}, b"<html>"), True),
        (Reply(429, {}, b""), True),
        (Reply(200, {}, b"<html>"), True),
        (Reply(200, {}, b"{}"), True),
        (Reply(200, {}, b"[]"), True),
        (Reply(400, {}, b""), False),
        (Reply(401, {}, b'{"code": 16, "message": "no such token"}'), False),
        (Reply(403, {}, b""), False),
        (Reply(302, {}, b""), False),
    ],
)
def test_an_iam_that_is_away_may_be_back_and_one_that_says_no_means_it(
    end: Reply | Exception, may_pass: bool
) -> None:
    assert failure(end).may_pass is may_pass


@pytest.mark.promise("P18")
@pytest.mark.parametrize("secret", [SECRET, SHORT])
def test_a_refusal_that_echoes_the_secret_is_told_without_it(secret: str) -> None:
    body = b'{"code": 16, "message": "what is %s anyway"}' % secret.encode()
    assert str(failure(Reply(401, {}, body), secret)) == "IAM says: what is *** anyway"
    assert secret not in repr(OAuth("the test", secret, "http://iam"))


def test_a_machine_whose_clock_is_wrong_is_told_so(authorized_key_file: Path) -> None:
    source = ServiceAccount("the test", authorized_key_file, "http://iam")
    said = Reply(401, {"date": formatdate(NOW + 5000, usegmt=True)}, b'{"message": "expired"}')
    with pytest.raises(NoCredentialError) as raised:
        asyncio.run(source.fresh(Canned(said), NOW))
    assert raised.value.advice == "This machine's clock is 5,000 s wrong: set it."


@pytest.mark.promise("P18")
@pytest.mark.parametrize(
    "private",
    [
        "none",
        "-----BEGIN PRIVATE KEY-----\nnone",
        pem(rsa.generate_private_key(65537, 1024)),  # noqa: S505 - that is what is refused
        pem(ec.generate_private_key(ec.SECP256R1())),
        pem(rsa.generate_private_key(65537, 2048), BestAvailableEncryption(b"secret")),
        rsa.generate_private_key(65537, 2048)
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        .decode(),
    ],
    ids=["words", "a beginning", "a short one", "another kind", "encrypted", "the public half"],
)
def test_a_private_key_that_is_none_is_not_told(tmp_path: Path, private: str) -> None:
    path = tmp_path / "key.json"
    path.write_text(json.dumps({"id": "a", "service_account_id": "b", "private_key": private}))
    with pytest.raises(NoCredentialError, match='"private_key" is no RSA key of 2048') as raised:
        asyncio.run(ServiceAccount("the test", path, "http://iam").fresh(Canned(ANY), NOW))
    assert raised.value.__context__ is None


def test_the_folder_of_a_key_is_not_asked_for_where_the_key_names_it(tmp_path: Path) -> None:
    path, carrier = tmp_path / "key.json", Canned(ANY)
    path.write_text(
        '{"id": "a", "service_account_id": "b", "private_key": "c", "folder_id": "b1g"}'
    )
    source = ServiceAccount("the test", path, "http://iam")
    assert asyncio.run(source.folder(carrier, NOW)) == "b1g"
    assert carrier.urls == []


@pytest.mark.parametrize(
    "end",
    [
        Reply(403, {}, b'{"code": 7, "message": "Permission denied"}'),
        Reply(200, {}, b"<html>"),
        Reply(200, {}, b"[]"),
    ],
)
def test_an_account_that_may_not_ask_for_its_folder_leaves_it_to_the_user(
    authorized_key_file: Path, end: Reply
) -> None:
    class Halves(Canned):
        async def send(
            self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout: float
        ) -> Reply:
            return (
                ANY
                if method == "POST"
                else await super().send(method, url, headers, body, timeout)
            )

    source = ServiceAccount("the test", authorized_key_file, "http://iam")
    assert asyncio.run(source.folder(Halves(end), NOW)) is None


def test_a_machine_without_metadata_says_what_it_answered() -> None:
    with embedded(Config(), None) as url, pytest.raises(NoCredentialError) as raised:
        asyncio.run(Metadata(url).fresh(Canned(ANY), NOW))
    assert str(raised.value) == f"{url} answers HTTP 404"
    assert "service account" in raised.value.advice


def test_another_cloud_s_machine_is_none_of_ours() -> None:
    with embedded(Config(metadata=True), None) as url:
        source = Metadata(url)
        assert asyncio.run(source.fresh(Canned(ANY), NOW)).secret.startswith("t1.")
        assert asyncio.run(source.folder(Canned(ANY), NOW)) == Config().folder
