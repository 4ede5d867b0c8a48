"""The stage's work: gather the evidence, write card and provenance, register."""

import os
from pathlib import Path

import httpx

from osft_register.address import check_token_may_travel, parse_address
from osft_register.api import Registry
from osft_register.card import model_card
from osft_register.evidence import Evidence, gather
from osft_register.options import Options
from osft_register.properties import marks, typed, version_properties
from osft_register.provenance import provenance
from osft_register.registration import Registered, Wish, origin, register
from osft_register.tls import trust
from osft_workspace import Outcome, Run, UserError, redact_url, write_atomic
from osft_workspace.contents import Register
from osft_workspace.files import read_regular
from osft_workspace.hosts import check_credential
from osft_workspace.text import field

OUTPUTS = ["model-card.md", "provenance.json"]
TOKEN = "OSFT_REGISTRY_TOKEN"
LARGEST_TOKEN = 64 << 10  # bytes


def register_run(run: Run, options: Options) -> Outcome:
    """Do the stage's work."""
    evidence = gather(run, release=options.release, namespace=options.namespace, claim=options.claim)
    uri = redact_url(options.uri) or evidence.default_uri
    card = model_card(evidence, name=options.name, description=options.description, uri=uri)
    write_atomic(run.dir / "model-card.md", card)
    write_atomic(run.dir / "provenance.json", provenance(evidence, uri))
    if not options.address.strip():
        return Outcome(
            outputs=OUTPUTS,
            status="skipped",
            message="not registered: no registry address is set (register.address). The card is written.",
            details={"uri": uri},
        )
    if not uri:
        raise UserError(
            "the registered model would have no URI, for neither a claim nor a URI is set. Set --claim "
            "(OSFT_WORKSPACE_CLAIM) to the workspace's PVC, or --uri."
        )
    registry = connect(run, options)
    wish = make_wish(evidence, options, uri)
    return outcome(run, registry, wish, register(registry, wish), uri)


def connect(run: Run, options: Options) -> Registry:
    """Return a connection to the registry that the options name.

    Raises:
        UserError: the address, the CA or the token cannot be used, or no registry is there.
        Transient: the registry is unavailable.
    """
    ca_file, skip_verify = options.ca_file, options.insecure_skip_tls_verify
    address = parse_address(options.address, options.port, tls=bool(ca_file or skip_verify))
    if not address.explicit:
        run.choice("registry url", address.url, "the address has no scheme")
    if ca_file and not address.secure:
        raise UserError(
            f"{address.url} is not encrypted, so the CA file {ca_file} would never be used. Write https:// "
            "before the registry's address, or leave the CA out (register.tls)."
        )
    if skip_verify:
        run.event("warning", seen="the registry's certificate is not checked (insecure-skip-tls-verify)")
    token = read_token(options.token_file)
    if token:
        check_token_may_travel(address)
    tls = trust(ca_file, skip_verify) if address.secure else False
    registry = Registry(address, token, tls, options.timeout_seconds, run.event)
    run.choice("registry api", registry.connect(), f"the newest version that {address.url} supports")
    return registry


def read_token(file: Path | None) -> str:
    """Return the token, from the file when one is named.

    Raises:
        UserError: the file is missing or empty, or the token cannot be sent in a header.
    """
    where = str(file) if file else TOKEN
    try:
        given = (
            read_regular(file, "a file with the registry token", LARGEST_TOKEN, follow=True) if file else b""
        )
        token = (given.decode() if file else os.environ.get(TOKEN, "")).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"the registry token cannot be read from {file} ({error}). Mount the secret there."
        ) from error
    if file and not token:
        raise UserError(f"{file} is empty, expected the registry token. Check the secret (secrets.registry).")
    check_credential(f"the registry token in {where}", token, "Check the secret (secrets.registry).")
    os.environ[TOKEN] = token  # what is in this variable is redacted everywhere
    return token


def make_wish(evidence: Evidence, options: Options, uri: str) -> Wish:
    """Return what the registry should hold for this run."""
    name = "/".join(part for part in (evidence.namespace, evidence.run_id) if part)
    artifact = {
        "uri": uri,
        "state": "LIVE",
        "modelFormatName": options.format_name,
        "modelFormatVersion": options.format_version,
        "modelSourceKind": "osft-pipeline",
        "modelSourceClass": "run",
        "modelSourceGroup": evidence.namespace,
        "modelSourceId": evidence.run_id,
        "modelSourceName": name,
    }
    own = {**marks(evidence), "osft_evidence": evidence.digest}
    return Wish(
        name=options.name,
        version=options.version,
        policy=options.on_conflict,
        model=filled(owner=options.owner or options.author, description=options.description),
        version_fields=filled(author=options.author, description=options.version_description),
        properties=version_properties(evidence, options.metadata),
        marks=marks(evidence),
        artifact=filled(**artifact) | {"customProperties": {key: typed(value) for key, value in own.items()}},
    )


def filled(**fields: str) -> dict[str, str]:
    """Return the fields that say something, printable; the server keeps no empty ones."""
    return {key: field(value) for key, value in fields.items() if value}


def outcome(run: Run, registry: Registry, wish: Wish, done: Registered, uri: str) -> Outcome:
    """Return what the record says about the registration."""
    url = registry.link("model_versions", done.version["id"])
    title = f"version {done.version['name']!r} of model {wish.name!r}"
    details: Register = {
        "registered_model_id": done.model["id"],
        "model_version_id": done.version["id"],
        "model_artifact_id": done.artifact["id"] if done.artifact else None,
        "version": done.version["name"],
        "api": registry.api,
        "uri": uri,
        "url": url,
    }
    versions = {"httpx": httpx.__version__}
    if done.left_alone:
        message = (
            f"not registered: {title} is there, {origin(done.version, wish)} (register.onConflict: skip)."
        )
        return Outcome(outputs=OUTPUTS, status="skipped", message=message, details=details, versions=versions)
    run.event("registered", model=wish.name, version=done.version["name"], url=url)
    return Outcome(outputs=OUTPUTS, message=f"registered {title}; {url}", details=details, versions=versions)
