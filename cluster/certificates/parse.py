"""Certificates out of text: PEM from nodes, kubeconfigs, cert-manager's objects. Text in, certificates out."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

import yaml
from cryptography import x509
from cryptography.x509.oid import NameOID

from cluster.certificates.model import Certificate, Kind


def of_node(node: str, told: Mapping[str, str]) -> list[Certificate]:
    """Return what lies on a node; ``told``: path -> PEM."""
    return [of_pem(node, path, "kubernetes", pem.encode()) for path, pem in sorted(told.items())]


def of_pem(where: str, name: str, kind: Kind, data: bytes) -> Certificate:
    """Return the first certificate of PEM or DER; an authority is told by its own word."""
    try:
        if data.lstrip().startswith(b"-----BEGIN"):
            found = x509.load_pem_x509_certificates(data)[0]
        else:
            found = x509.load_der_x509_certificate(data)
    except ValueError as error:
        return Certificate(where, name, kind, None, reason=f"cannot be read: {error}")
    is_authority = kind == "kubernetes" and _is_authority(found)
    return Certificate(where, name, "authority" if is_authority else kind, found.not_valid_after_utc, _subject(found))


def of_kubeconfig(name: str, text: str) -> Certificate:
    """Return the certificate by which a kubeconfig's user logs in."""
    where = "this machine"
    try:
        config = yaml.safe_load(text)
        users = {each["name"]: each["user"] for each in config["users"]}
        contexts = {each["name"]: each["context"] for each in config["contexts"]}
        user = users[contexts[config["current-context"]]["user"]]
        data = base64.b64decode(user["client-certificate-data"], validate=True)
    except (yaml.YAMLError, KeyError, TypeError, ValueError):
        return Certificate(where, name, "kubeconfig", None, reason="has no certificate of its user in it")
    return of_pem(where, name, "kubeconfig", data)


def of_cert_manager(answer: Mapping[str, Any]) -> list[Certificate]:
    """Return what ``kubectl get certificates --all-namespaces --output json`` tells."""
    return [_kept(item) for item in answer.get("items") or []]


def _kept(item: Mapping[str, Any]) -> Certificate:
    metadata, status = item.get("metadata") or {}, item.get("status") or {}
    name = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
    ready: Mapping[str, Any] = next(
        (each for each in status.get("conditions") or [] if each.get("type") == "Ready"), {}
    )
    said = "" if ready.get("status") == "True" else str(ready.get("message") or "is not issued yet")
    spec = item.get("spec") or {}
    subject = str(spec.get("commonName") or ", ".join(spec.get("dnsNames") or []))
    try:
        ends = datetime.fromisoformat(str(status["notAfter"]).replace("Z", "+00:00"))
    except (KeyError, ValueError):
        return Certificate("cert-manager", name, "cert-manager", None, subject, said or "does not say when it ends")
    return Certificate("cert-manager", name, "cert-manager", ends, subject, said)


def _is_authority(found: x509.Certificate) -> bool:
    try:
        return bool(found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except (x509.ExtensionNotFound, ValueError):
        return False


def _subject(found: x509.Certificate) -> str:
    names = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else found.subject.rfc4514_string()


def short(path: str) -> str:
    """Return a path as tables show it: the last two parts."""
    return str(PurePosixPath(*PurePosixPath(path).parts[-2:]))
