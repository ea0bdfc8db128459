"""Tokens as an application's own login would hand them out."""

import base64
import hashlib
import hmac
import json
import time

KEY = b"conformance-signing-key-of-32-bytes-or-more"


def _encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def token(user):
    now = int(time.time())
    claims = {"sub": user, "nbf": now - 10, "exp": now + 600}
    parts = [{"alg": "HS256", "typ": "JWT"}, claims]
    text = b".".join(_encode(json.dumps(part).encode()) for part in parts)
    signature = hmac.new(KEY, text, hashlib.sha256).digest()
    return (text + b"." + _encode(signature)).decode()
