"""Ed25519 signatures by the user's own key, from the package cryptography."""

import json
from pathlib import Path
from typing import Any

from rawdrift.checks import InputError


def sign(body: bytes, key: Path) -> bytes:
    """Return the signature of bytes as JSON. key: a private key, PEM without a password."""
    ed25519, serialization = _library()
    try:
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{key} is not a private key in PEM without a password: {error}") from None
    if not isinstance(private, ed25519.Ed25519PrivateKey):
        raise InputError(
            f"{key} is not an Ed25519 key; make one: openssl genpkey -algorithm ed25519"
        )
    public = private.public_key().public_bytes_raw().hex()
    signature = private.sign(body).hex()
    content = {"algorithm": "Ed25519", "public_key": public, "signature": signature}
    return (json.dumps(content, indent=1) + "\n").encode()


def is_signed(body: bytes, signed: bytes) -> tuple[bool, str]:
    """Return whether a signature is that of these bytes, and the public key in hexadecimal."""
    ed25519, _ = _library()
    from cryptography.exceptions import InvalidSignature

    try:
        content = json.loads(signed)
        key = str(content["public_key"])
        public = ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
        public.verify(bytes.fromhex(content["signature"]), body)
    except (InvalidSignature, ValueError, KeyError, TypeError):
        return False, ""
    return True, key


def public_of(path: Path) -> str:
    """Return a public key of a PEM file in hexadecimal."""
    ed25519, serialization = _library()
    try:
        public = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path} is not a public key in PEM: {error}") from None
    if not isinstance(public, ed25519.Ed25519PublicKey):
        raise InputError(f"{path} is not an Ed25519 key")
    return str(public.public_bytes_raw().hex())


def _library() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise InputError(
            "signatures need the package cryptography: pip install 'rawdrift[signing]'"
        ) from None
    return ed25519, serialization
