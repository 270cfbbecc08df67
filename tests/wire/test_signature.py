"""The profile of RFC 9421: the same as the library's, and no change of what is signed goes unseen."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import http_message_signatures as library
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from wire import signature
from wire.errors import WireError

KEY = signature.load_private_key(bytes(range(32)))
OTHER = signature.load_private_key(bytes(range(1, 33)))
NOW = 1_700_000_000
NONCE = "abcdefghijklmnop"
TARGET = "/api/v1/reports?a=b%20c"
BODY = b"the body"
COVERED = ("@method", "@request-target", "content-digest")


def lower(headers: dict[str, str]) -> dict[str, str]:
    """As a server has them."""
    return {name.lower(): value for name, value in headers.items()}


def signed(
    *,
    key: signature.PrivateKey = KEY,
    method: str = "POST",
    target: str = TARGET,
    body: bytes = BODY,
    created: int = NOW,
    nonce: str = NONCE,
    key_id: str = "host-1",
) -> dict[str, str]:
    """The headers of a request, in lower case."""
    return lower(signature.sign(key, method, target, body, created=created, nonce=nonce, key_id=key_id))


def check(
    headers: dict[str, str],
    *,
    key: signature.PublicKey | None = None,
    method: str = "POST",
    target: str = TARGET,
    body: bytes = BODY,
    now: float = NOW,
) -> signature.Claim:
    """Parse and verify."""
    claim = signature.parse(headers)
    signature.verify(claim, key or KEY.verify_key, method, target, body, now=now)
    return claim


def refused(headers: dict[str, str], **changes: object) -> str:
    """The code of the refusal."""
    with pytest.raises(WireError) as caught:
        check(headers, **changes)  # type: ignore[arg-type]  # one of check's own keywords
    return caught.value.code


def test_what_was_signed_is_what_is_claimed() -> None:
    claim = check(signed())
    assert (claim.key_id, claim.created, claim.nonce) == ("host-1", NOW, NONCE)


def test_the_signature_base_is_that_of_the_standard() -> None:
    """Written out by hand from RFC 9421, section 2.5."""
    digest = b64encode(hashlib.sha256(BODY).digest()).decode()
    base = (
        '"@method": POST\n'
        '"@request-target": /api/v1/reports?a=b%20c\n'
        f'"content-digest": sha-256=:{digest}:\n'
        '"@signature-params": ("@method" "@request-target" "content-digest")'
        f';created={NOW};nonce="{NONCE}";keyid="host-1";alg="ed25519"'
    )
    assert signed()["signature"] == f"hostward=:{b64encode(KEY.sign(base.encode()).signature).decode()}:"


@dataclass
class Request:
    """What the library signs and verifies."""

    method: str = "POST"
    url: str = "https://home.example" + TARGET
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = BODY


class Keys(library.HTTPSignatureKeyResolver):
    """One key for every id."""

    def resolve_private_key(self, key_id: str) -> Ed25519PrivateKey:
        """The private half."""
        return Ed25519PrivateKey.from_private_bytes(bytes(KEY))

    def resolve_public_key(self, key_id: str) -> Ed25519PublicKey:
        """The public half."""
        return Ed25519PublicKey.from_public_bytes(bytes(KEY.verify_key))


def test_the_library_verifies_what_we_sign() -> None:
    now = int(datetime.now(UTC).timestamp())
    request = Request(headers=signature.sign(KEY, "POST", TARGET, BODY, created=now, nonce=NONCE, key_id="host-1"))
    verifier = library.HTTPMessageVerifier(signature_algorithm=library.algorithms.ED25519, key_resolver=Keys())
    (result,) = verifier.verify(request, body=BODY)
    assert set(result.covered_components) == {
        '"@method"',
        '"@request-target"',
        '"content-digest"',
        '"@signature-params"',
    }
    assert result.parameters["nonce"] == NONCE
    assert result.parameters["keyid"] == "host-1"


def library_request() -> Request:
    """With the header that the signature covers."""
    return Request(headers={"Content-Digest": f"sha-256=:{b64encode(hashlib.sha256(BODY).digest()).decode()}:"})


def library_signer() -> library.HTTPMessageSigner:
    """With KEY."""
    return library.HTTPMessageSigner(signature_algorithm=library.algorithms.ED25519, key_resolver=Keys())


def test_we_verify_what_the_library_signs() -> None:
    """The library has an order of its own for the parameters, so it is given ours, one step below its `sign`."""
    request, signer = library_request(), library_signer()
    base, parameters, _ = signer._build_signature_base(
        request,
        covered_component_ids=signer._parse_covered_component_ids(COVERED),
        signature_params={"created": NOW, "nonce": NONCE, "keyid": "host-1", "alg": "ed25519"},
    )
    made = library.algorithms.ED25519(private_key=Keys().resolve_private_key("host-1")).sign(base.encode())
    headers = lower(request.headers) | {
        "signature-input": f"hostward={parameters}",
        "signature": f"hostward=:{b64encode(made).decode()}:",
    }
    assert check(headers).nonce == NONCE
    assert headers == signed()


def test_the_same_in_another_order_is_not_taken() -> None:
    """A sound signature by the standard, but not in the one shape of the profile."""
    request = library_request()
    library_signer().sign(
        request,
        key_id="host-1",
        created=datetime.fromtimestamp(NOW, UTC),
        nonce=NONCE,
        label="hostward",
        covered_component_ids=COVERED,
        use_existing_digest=True,
    )
    assert refused(lower(request.headers)) == "bad_signature"


methods = st.sampled_from(["GET", "PUT", "POST", "DELETE", "post"])
targets = st.from_regex(r"/[a-z/]{0,20}(\?[a-z=&]{0,10})?", fullmatch=True)
nonces = st.from_regex(r"[A-Za-z0-9_-]{16,64}", fullmatch=True)
key_ids = st.from_regex(r"[A-Za-z0-9_.+/=-]{1,64}", fullmatch=True)
times = st.integers(0, 10**12 - 1)
requests = st.fixed_dictionaries(
    {
        "method": methods,
        "target": targets,
        "body": st.binary(max_size=50),
        "created": times,
        "nonce": nonces,
        "key_id": key_ids,
    }
)


@given(requests, requests, st.sampled_from(["method", "target", "body", "created", "nonce", "key_id"]))
def test_any_change_of_what_is_signed_fails(request_: dict, other: dict, what: str) -> None:  # type: ignore[type-arg]
    """Method, target, body, time, nonce and key id are each bound by the signature."""
    headers = signed(**request_)
    sent = {name: request_[name] for name in ("method", "target", "body")}
    check(headers, now=request_["created"], **sent)
    if request_[what] == other[what]:
        return
    mixed = request_ | {what: other[what]}
    if what in sent:
        sent[what] = other[what]
    else:
        headers = headers | {"signature-input": signed(**mixed)["signature-input"]}
    assert refused(headers, now=mixed["created"], **sent) == "bad_signature"


@given(requests)
def test_another_key_fails(request_: dict) -> None:  # type: ignore[type-arg]
    """Only the key that signed verifies."""
    sent = {name: request_[name] for name in ("method", "target", "body")}
    headers = signed(**request_)
    assert refused(headers, key=OTHER.verify_key, now=request_["created"], **sent) == "bad_signature"


def test_the_digest_is_of_the_body_that_came() -> None:
    """A signature over the digest of another body is no signature of this one."""
    assert refused(signed(), body=BODY + b".") == "bad_signature"
    swapped = signed() | {"content-digest": signed(body=b"other")["content-digest"]}
    assert refused(swapped) == "bad_signature"
    assert refused(swapped, body=b"other") == "bad_signature"


@pytest.mark.parametrize("away", [-300, 300, 0])
def test_within_five_minutes_is_soon_enough(away: int) -> None:
    """The window is closed: its edge still counts."""
    check(signed(), now=NOW + away)


@pytest.mark.parametrize(("now", "word"), [(NOW + 300.5, "behind"), (NOW - 301, "ahead of"), (0, "ahead of")])
def test_more_than_five_minutes_is_clock_skew_and_says_which_way(now: float, word: str) -> None:
    """Its sender can correct itself."""
    with pytest.raises(WireError, match=word) as caught:
        check(signed(), now=now)
    assert (caught.value.code, caught.value.permanent) == ("clock_skew", False)


def test_who_has_not_the_key_learns_nothing_of_the_clock() -> None:
    assert refused(signed(key=OTHER), now=0) == "bad_signature"


@pytest.mark.parametrize("missing", ["signature", "signature-input", "content-digest"])
def test_a_missing_header_is_a_bad_signature(missing: str) -> None:
    """All three are needed."""
    assert refused({name: value for name, value in signed().items() if name != missing}) == "bad_signature"


SHAPES = [
    ("signature-input", lambda text: text.replace("hostward=", "sig1=")),
    ("signature-input", lambda text: text.replace("hostward=", "hostward= ")),
    ("signature-input", lambda text: text.replace('"@method" ', "")),
    ("signature-input", lambda text: text.replace('"@method" "@request-target"', '"@request-target" "@method"')),
    ("signature-input", lambda text: text.replace(";created=", "; created=")),
    ("signature-input", lambda text: text.replace(";created=", ";created=0")),
    ("signature-input", lambda text: text.replace(";created=", ";created=-")),
    ("signature-input", lambda text: text.replace(";created=1700000000", "")),
    ("signature-input", lambda text: text.replace(f';nonce="{NONCE}"', "")),
    ("signature-input", lambda text: text.replace(NONCE, "short")),
    ("signature-input", lambda text: text.replace("host-1", "")),
    ("signature-input", lambda text: text.replace("host-1", "é")),
    ("signature-input", lambda text: text.replace("ed25519", "hmac-sha256")),
    ("signature-input", lambda text: text.replace(';alg="ed25519"', "")),
    ("signature-input", lambda text: text + ';tag="x"'),
    ("signature-input", lambda text: text + ", " + text),
    ("signature-input", lambda text: text + "\n"),
    ("signature", lambda text: text.replace("hostward=", "sig1=")),
    ("signature", lambda text: text.replace(":", "")),
    ("signature", lambda text: text[:-3] + ":"),
    ("signature", lambda text: text + ", " + text),
    ("content-digest", lambda text: text.replace("sha-256", "sha-512")),
    ("content-digest", lambda text: text + ", " + text),
    ("content-digest", lambda text: text[:-1]),
]


@pytest.mark.parametrize("number", range(len(SHAPES)))
def test_only_the_one_shape_is_taken(number: int) -> None:
    """What the RFC would also allow, and what it would not, are refused alike."""
    name, change = SHAPES[number]
    headers = signed()
    assert change(headers[name]) != headers[name]
    assert refused(headers | {name: change(headers[name])}) == "bad_signature"


def test_one_signature_has_one_text() -> None:
    """Base64 leaves four bits of the last letter unused; they must be zero."""
    text = signed()["signature"]
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = text[-4]
    twin = letters[letters.index(last) ^ 1]
    assert refused(signed() | {"signature": text[:-4] + twin + text[-3:]}) == "bad_signature"


@given(st.dictionaries(st.sampled_from(["signature", "signature-input", "content-digest"]), st.text(max_size=80)))
def test_random_headers_raise_nothing_but_a_wire_error(headers: dict[str, str]) -> None:
    assert refused(headers) == "bad_signature"


@given(st.data())
def test_headers_with_one_letter_changed_raise_nothing_but_a_wire_error(data: st.DataObject) -> None:
    headers = signed()
    name = data.draw(st.sampled_from(sorted(headers)))
    position = data.draw(st.integers(0, len(headers[name]) - 1))
    letter = data.draw(st.characters())
    text = headers[name][:position] + letter + headers[name][position + 1 :]
    if text != headers[name]:
        assert refused(headers | {name: text}) in ("bad_signature", "clock_skew")


@pytest.mark.parametrize(
    "odd",
    [
        {"nonce": 'a"' * 10},
        {"nonce": "short"},
        {"key_id": ""},
        {"key_id": "a\nb"},
        {"created": -1},
        {"created": 10**12},
    ],
)
def test_what_the_profile_has_no_room_for_is_not_signed(odd: dict) -> None:  # type: ignore[type-arg]
    """The signer refuses before anything is sent."""
    with pytest.raises(ValueError, match="cannot be signed"):
        signed(**odd)


def test_a_key_survives_its_bytes() -> None:
    key = signature.generate_key()
    again = signature.load_private_key(bytes(key))
    assert signature.public_text(again) == signature.public_text(key)
    public = signature.load_public_key(signature.public_text(key))
    check(signed(key=again), key=public)


@given(st.text(max_size=60))
def test_what_is_no_public_key_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        signature.load_public_key(text)


SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    # The same points, not reduced.
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_a_key_for_which_anybody_could_sign_signs_nothing(point: str) -> None:
    """Where 8 divides the order, this signature, made without any private key, is one of every eighth message."""
    key = signature.load_public_key(b64encode(bytes.fromhex(point)).decode())
    forged = signature.Claim("host-1", NOW, NONCE, "", signature._content_digest(BODY), bytes([1]) + bytes(63))
    for number in range(200):
        with pytest.raises(WireError, match="not of this request"):
            signature.verify(forged, key, "POST", f"/{number}", BODY, now=NOW)


def test_a_claim_is_not_true_because_its_fields_say_so() -> None:
    """What is verified is what came, not what was read from it."""
    claim = replace(signature.parse(signed(key=OTHER)), key_id="host-1")
    with pytest.raises(WireError):
        signature.verify(claim, KEY.verify_key, "POST", TARGET, BODY, now=NOW)
