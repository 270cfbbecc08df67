"""Requests signed by HTTP Message Signatures (RFC 9421): one strict profile of it, and nothing else.

Covered are `@method`, `@request-target` and `content-digest` (RFC 9530, sha-256), in this order; the parameters are
`created`, `nonce`, `keyid` and `alg="ed25519"`, in this order; the label is `hostward`. A request that says the
same in another shape that the RFC allows is refused: what is signed is then always what was read.

    Content-Digest: sha-256=:BASE64:
    Signature-Input: hostward=("@method" "@request-target" "content-digest");created=1700000000;nonce="…";\
keyid="…";alg="ed25519"
    Signature: hostward=:BASE64:

This is the only module that imports PyNaCl, and of that only what Ed25519 takes. Its libsodium takes no key of small
order, for which anybody could sign, and no second spelling of a key or a signature.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey as PrivateKey
from nacl.signing import VerifyKey as PublicKey

from wire.errors import WireError

__all__ = [
    "WINDOW",
    "Claim",
    "PrivateKey",
    "PublicKey",
    "generate_key",
    "load_private_key",
    "load_public_key",
    "parse",
    "public_text",
    "sign",
    "verify",
]

WINDOW = 300.0
"""Seconds that `created` may be away from the verifier's clock, either way."""

_INPUT = re.compile(
    r'hostward=(\("@method" "@request-target" "content-digest"\)'
    r';created=(0|[1-9][0-9]{0,11});nonce="([A-Za-z0-9_-]{16,64})";keyid="([A-Za-z0-9_.+/=-]{1,64})";alg="ed25519")'
)
_SIGNATURE = re.compile(r"hostward=:([A-Za-z0-9+/]{86}==):")
_DIGEST = re.compile(r"sha-256=:[A-Za-z0-9+/]{43}=:")


@dataclass(frozen=True, slots=True)
class Claim:
    """Who says to have signed, and when: nothing of it is true before `verify` returns."""

    key_id: str
    created: int
    """Seconds since the epoch, by the signer's clock."""
    nonce: str
    parameters: str
    """The value of `@signature-params`, as it came."""
    digest: str
    """The value of Content-Digest, as it came."""
    signature: bytes


def generate_key() -> PrivateKey:
    """A new Ed25519 key."""
    return PrivateKey.generate()


def load_private_key(raw: bytes) -> PrivateKey:
    """The key whose 32 bytes these are (`bytes` gives them). Raises ValueError."""
    if len(raw) != 32:
        raise ValueError("a private key is 32 bytes")
    return PrivateKey(raw)


def load_public_key(text: str) -> PublicKey:
    """The key in base64, as an enrolment announces it. Raises ValueError for anything else."""
    raw = b64decode(text, validate=True)
    if len(raw) != 32 or b64encode(raw).decode() != text:
        raise ValueError("a public key is 32 bytes in base64")
    return PublicKey(raw)


def public_text(key: PrivateKey | PublicKey) -> str:
    """The public half in base64."""
    return b64encode(bytes(key if isinstance(key, PublicKey) else key.verify_key)).decode()


def sign(
    key: PrivateKey, method: str, target: str, body: bytes, *, created: int, nonce: str, key_id: str
) -> dict[str, str]:
    """The three headers that sign a request.

    `target` is the path with its query, as the request line has it; `body` is what travels, after compression;
    `nonce` is 16 to 64 letters that were never used before (`secrets.token_urlsafe`). Raises ValueError for a
    `created`, `nonce` or `key_id` that this profile has no room for.
    """
    parameters = (
        '("@method" "@request-target" "content-digest")'
        f';created={created};nonce="{nonce}";keyid="{key_id}";alg="ed25519"'
    )
    if _INPUT.fullmatch(f"hostward={parameters}") is None:
        raise ValueError(f"these cannot be signed: created={created!r}, nonce={nonce!r}, key_id={key_id!r}")
    digest = _content_digest(body)
    signature = key.sign(_base(method, target, digest, parameters)).signature
    return {
        "Content-Digest": digest,
        "Signature-Input": f"hostward={parameters}",
        "Signature": f"hostward=:{b64encode(signature).decode()}:",
    }


def parse(headers: Mapping[str, str]) -> Claim:
    """What the headers claim. The mapping's names are in lower case, or it ignores case.

    Raises WireError(`bad_signature`) where a header is missing or has another shape.
    """
    texts = [headers.get(name) for name in ("signature-input", "signature", "content-digest")]
    if None in texts:
        raise WireError(
            "bad_signature", "the request is not signed: Signature-Input, Signature and Content-Digest are needed"
        )
    given, signed, digest = (text or "" for text in texts)
    found = _INPUT.fullmatch(given)
    if found is None:
        raise WireError("bad_signature", "Signature-Input has not the one shape that is taken here")
    encoded = _SIGNATURE.fullmatch(signed)
    if encoded is None:
        raise WireError("bad_signature", "Signature is not an Ed25519 signature under the label hostward")
    if _DIGEST.fullmatch(digest) is None:
        raise WireError("bad_signature", "Content-Digest is not one sha-256 digest")
    signature = b64decode(encoded[1])
    # The last letter has four bits to spare: without this, sixteen texts would be the same signature.
    if b64encode(signature).decode() != encoded[1]:
        raise WireError("bad_signature", "Signature is not in canonical base64")
    return Claim(
        key_id=found[4],
        created=int(found[2]),
        nonce=found[3],
        parameters=found[1],
        digest=digest,
        signature=signature,
    )


def verify(claim: Claim, key: PublicKey, method: str, target: str, body: bytes, *, now: float) -> None:
    """Return if `key` signed this very request within WINDOW of `now`, else raise WireError.

    `bad_signature`: another key, or another method, target, body, time, nonce or key id than was signed.
    `clock_skew`: signed too long ago or too far ahead. Whether the nonce was seen before is for the caller to know.
    """
    if claim.digest != _content_digest(body):
        raise WireError("bad_signature", "the body is not the one that Content-Digest names")
    try:
        key.verify(_base(method, target, claim.digest, claim.parameters), claim.signature)
    except BadSignatureError:
        raise WireError("bad_signature", "the signature is not of this request by this key") from None
    away = claim.created - now
    if abs(away) > WINDOW:
        raise WireError(
            "clock_skew",
            f"the request was signed {abs(away):.0f} s {'ahead of' if away > 0 else 'behind'} home's clock;"
            f" at most {WINDOW:.0f} s are taken",
        )


def _content_digest(body: bytes) -> str:
    return f"sha-256=:{b64encode(hashlib.sha256(body).digest()).decode()}:"


def _base(method: str, target: str, digest: str, parameters: str) -> bytes:
    """The signature base (RFC 9421, section 2.5)."""
    return (
        f'"@method": {method}\n'
        f'"@request-target": {target}\n'
        f'"content-digest": {digest}\n'
        f'"@signature-params": {parameters}'
    ).encode()
