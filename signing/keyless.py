"""Signing with an identity: a short-lived certificate by Fulcio, entries in a log, timestamps. All by sigstore-python.

The public Sigstore, or a private one by its ``clienttrustconfig.v0.1+json`` (to sign) and trusted root (to verify).
The library is loaded on first use: it takes seconds.
"""

from __future__ import annotations

import base64
import fnmatch
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from signing import bundle as bundles
from signing.bundle import Bundle
from signing.errors import SigningError, Untrusted

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


@dataclass(frozen=True, slots=True)
class KeylessSigner:
    """Signs as whoever a token says; ``trust_config`` is None for the public Sigstore."""

    token: str = field(repr=False)
    trust_config: Path | None = None

    def sign_all(self, statements: list[bytes]) -> list[Bundle]:
        """The bundles of statements, under one certificate.

        Raises:
            SigningError: the token is not accepted, or a service does not answer.
        """
        from sigstore import dsse, oidc, sign

        try:
            context = sign.SigningContext.from_trust_config(self._config())
            with context.signer(oidc.IdentityToken(self.token)) as signer:
                made = [signer.sign_dsse(dsse.Statement(each)) for each in statements]
        except OSError as error:
            raise SigningError(f"{self.trust_config}: {error.strerror or type(error).__name__}") from None
        except Exception as error:
            # sigstore-python's errors have no common family, and some carry the request: the token must not be shown.
            text = str(error) or str(error.__cause__ or "it gave no reason")
            text = text.replace(self.token, "***")
            kind = (
                "the identity token is not accepted" if isinstance(error, oidc.IdentityError) else type(error).__name__
            )
            raise SigningError(f"signing without a key failed: {kind}: {text[:400]}") from None
        return [bundles.parse(each.to_json().encode()) for each in made]

    def own(self, made: Sequence[Bundle]) -> list[Bundle]:
        """Those bundles that hold, and are by the identity of this token: they need not be signed again.

        Names that Fulcio makes otherwise of a token (only e-mail, subject and GitHub's workflow are compared) are not
        known again; what they have signed is signed once more.
        """
        from sigstore import models, oidc, verify

        try:
            issuer = oidc.IdentityToken(self.token).federated_issuer
            claims = json.loads(base64.urlsafe_b64decode(self.token.split(".")[1] + "=="))
            verifier = verify.Verifier(trusted_root=self._config().trusted_root)
        except Exception:
            # Whatever it is, sign_all will say it.
            return []
        names = {claims.get("email"), claims.get("sub"), f"https://github.com/{claims.get('job_workflow_ref')}"}
        found = []
        for each in made:
            try:
                parsed = models.Bundle.from_json(each.data)
                for name in names.intersection(_names(parsed.signing_certificate)):
                    verifier.verify_dsse(parsed, _Policy(name, issuer))
                    found.append(each)
                    break
            except Exception:
                continue
        return found

    def _config(self) -> Any:
        from sigstore import models

        if self.trust_config:
            return models.ClientTrustConfig.from_json(self.trust_config.read_text())
        return models.ClientTrustConfig.production()


def ambient_token() -> str:
    """The token of the place we run in (GitHub Actions with ``id-token: write``, and others that sigstore knows).

    Raises:
        SigningError: there is none.
    """
    from sigstore import oidc

    try:
        found = oidc.detect_credential()
    except Exception as error:
        raise SigningError(f"the identity token of this place cannot be had: {type(error).__name__}") from None
    if not found:
        raise SigningError(
            "there is no identity here to sign with: in GitHub Actions the job needs 'permissions: id-token: write'; "
            "else give --identity-token env:NAME or file:PATH, or --key"
        )
    return str(found)


@dataclass(frozen=True, slots=True)
class IdentityVerifier:
    """Whoever has this identity (``*`` stands for anything) from this issuer; ``trusted_root`` None: public Sigstore."""

    identity: str
    issuer: str
    trusted_root: Path | None = None

    def check(self, bundle: Bundle) -> str:
        if not bundle.certificate:
            raise Untrusted("it is signed by a key, not by an identity")
        from sigstore import models, verify

        try:
            verifier = verify.Verifier(trusted_root=self._root())
            parsed = models.Bundle.from_json(bundle.data)
            kind, payload = verifier.verify_dsse(parsed, _Policy(self.identity, self.issuer))
        except Untrusted:
            raise
        except Exception as error:
            raise Untrusted(f"the signature does not hold under the trusted root: {_first_line(error)}") from None
        if payload != bundle.envelope.payload or kind != bundle.envelope.payload_type:
            raise Untrusted("the bundle reads as one statement here, and as another to Sigstore's library")
        return f"{self.identity} by {self.issuer}" if "*" not in self.identity else _name(parsed.signing_certificate)

    def _root(self) -> Any:
        from sigstore import models

        try:
            if self.trusted_root:
                return models.TrustedRoot.from_file(str(self.trusted_root))
            return models.ClientTrustConfig.production().trusted_root
        except Exception as error:
            where = self.trusted_root or "the public Sigstore's trusted root"
            raise SigningError(f"{where} cannot be used: {type(error).__name__}: {_first_line(error)}") from None


@dataclass(frozen=True, slots=True)
class _Policy:
    """A policy of sigstore-python: exact issuer, identity by pattern."""

    identity: str
    issuer: str

    def verify(self, cert: Certificate) -> None:
        from sigstore.verify import policy

        try:
            policy.OIDCIssuer(self.issuer).verify(cert)
        except Exception:
            raise Untrusted(f"the signer's issuer is not {self.issuer}") from None
        names = _names(cert)
        if not any(fnmatch.fnmatchcase(each, _literal(self.identity)) for each in names):
            raise Untrusted(f"the signer is {', '.join(names) or 'nobody'}, not {self.identity}")


def _literal(pattern: str) -> str:
    """A pattern in which only ``*`` is special."""
    return pattern.replace("[", "[[]").replace("?", "[?]")


def _names(cert: Certificate) -> list[str]:
    from cryptography import x509

    try:
        found = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    kinds = (x509.RFC822Name, x509.UniformResourceIdentifier)
    return [str(each) for kind in kinds for each in found.get_values_for_type(kind)]


def _name(cert: Certificate) -> str:
    return ", ".join(_names(cert))


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300] or type(error).__name__
