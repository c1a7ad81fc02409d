"""Certificates of this machine's own, for servers that speak TLS beside a test or a benchmark."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files: of an authority that nobody else trusts, and of a host at 127.0.0.1 with its key."""

    authority: Path
    host: Path


def made(folder: Path) -> Certificates:
    """Good for a day."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [_name("authority"), _name("host")]
    both = [_certificate(names[0], names[which], keys[0], keys[which]) for which in range(2)]
    private = keys[1].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    found = Certificates(folder / "authority.pem", folder / "host.pem")
    found.authority.write_bytes(both[0].public_bytes(Encoding.PEM))
    found.host.write_bytes(both[1].public_bytes(Encoding.PEM) + private)
    return found


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _certificate(
    by: x509.Name, of: x509.Name, signer: EllipticCurvePrivateKey, key: EllipticCurvePrivateKey
) -> x509.Certificate:
    now = datetime.now(UTC)  # noqa: TID251 - whoever looks at it has the real time
    at = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    return (
        x509.CertificateBuilder(by, of, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=by == of, path_length=None), critical=True)
        .add_extension(at, critical=False)
        .sign(signer, hashes.SHA256())
    )
