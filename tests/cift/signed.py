"""For schemathesis (SCHEMATHESIS_HOOKS): every request is signed with the key of the environment, as a client would."""

from __future__ import annotations

import os
import time
import uuid

import requests
import requests.auth
import schemathesis

from cift.use_cases.access import signature


class Signed(requests.auth.AuthBase):
    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body or b""
        data = body.encode() if isinstance(body, str) else body
        now, nonce, secret = str(time.time_ns() // 10**6), uuid.uuid4().hex, os.environ["CIFT_API_SECRET"].encode()
        request.headers.update(
            {
                "CIFT-Key": os.environ["CIFT_API_KEY"],
                "CIFT-Timestamp": now,
                "CIFT-Nonce": nonce,
                "CIFT-Signature": signature(secret, now, nonce, request.method or "", request.path_url, data),
            }
        )
        return request


schemathesis.auth.set_from_requests(Signed())
