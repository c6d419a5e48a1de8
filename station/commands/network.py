"""From what the station knows of its CSMSs to what the link dials: profiles, credentials, options."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

import msgspec

from certs.errors import CertsError
from certs.keystore import TlsKey
from certs.own import OwnChains
from certs.tls import TlsSettings
from certs.trust import TrustStore
from station.app import Station
from station.commands import roots
from station.commands.keystore import key_store
from station.commands.upkeep import remembered
from station.config import Config
from station.shell.backoff import BackoffSettings
from station.shell.link import LinkSetup
from station.shell.network import Credentials, LinkOptions, NetworkProfile, OwnCertificate, Replaced, Revocation
from station.state.certificates import CSMS_ROOT
from station.state.own_certificates import CHARGING_STATION, GIVEN, use_of

log = logging.getLogger(__name__)


def link_setup(config: Config, station: Station) -> LinkSetup:
    """Where and how to connect, as the tables, the variables and the files say now."""
    csms = config.file.csms
    comm = station.variables.integer
    profiles = tuple(
        NetworkProfile(
            slot=profile.slot,
            url=profile.url,
            security_profile=profile.security_profile,
            subprotocols=tuple(f"ocpp{version}" for version in csms.versions),
            message_timeout_s=profile.message_timeout_s,
        )
        for profile in station.network.profiles()
    )
    base = _with_a_way_back(credentials(config), tuple(profile.url for profile in profiles))
    ways = station.own_certificates.ways()
    return LinkSetup(
        profiles=profiles,
        credentials=tuple(
            msgspec.structs.replace(_without_what_was_replaced(base, ways), password=each)
            for each in station.network.passwords()
        ),
        certificates=tuple(own_certificates(config, ways, base)),
        options=LinkOptions(
            ping_interval_s=comm("OCPPCommCtrlr", "WebSocketPingInterval"), compression=csms.compression
        ),
        backoff=BackoffSettings(
            wait_minimum_s=comm("OCPPCommCtrlr", "RetryBackOffWaitMinimum"),
            random_range_s=comm("OCPPCommCtrlr", "RetryBackOffRandomRange"),
            repeat_times=comm("OCPPCommCtrlr", "RetryBackOffRepeatTimes"),
            attempts_per_profile=comm("OCPPCommCtrlr", "NetworkProfileConnectionAttempts"),
        ),
    )


def _with_a_way_back(base: Credentials, urls: tuple[str, ...]) -> Credentials:
    """Where none of the places is dialled any more that replaced roots may vouch for, they may vouch for any.

    They are for the CSMS that the station knew (M05.FR.16); if that has gone, a station that is locked out is worse.
    """
    replaced = base.replaced
    if replaced is None or set(replaced.urls) & set(urls):
        return base
    return msgspec.structs.replace(base, replaced=Replaced(replaced.pem, urls))


def _without_what_was_replaced(base: Credentials, ways: tuple[str, ...]) -> Credentials:
    """The certificate of the file is not shown again because the key of the one that replaced it is away."""
    if not ways or GIVEN in ways:
        return base
    return msgspec.structs.replace(base, tls=base.tls._replace(chain=None, key=None))


def own_certificates(config: Config, names: Iterable[str], given: Credentials) -> Iterator[OwnCertificate]:
    """Certificates of the station by the names of their keys; one whose key is gone is left out."""
    chains = OwnChains(config.chains)
    for name in names:
        if name == GIVEN:
            if given.tls.chain is not None and given.tls.key is not None:
                yield OwnCertificate(name, given.tls.chain, given.tls.key)
            continue
        try:
            yield OwnCertificate(name, chains.path(name), key_store(config).tls_key(name))
        except CertsError as error:
            log.error("certificate.no_key", extra={"certificate": name, "reason": type(error).__name__})  # noqa: TRY400 - no bug


def as_renewed(config: Config) -> Credentials:
    """As `credentials`, by the certificate that was signed last if there is one: for commands beside the agent."""
    base, chains = credentials(config), OwnChains(config.chains)
    kept = remembered(config.state, config.file.station.identity).certificates
    names = [each for each in kept if use_of(each) == CHARGING_STATION and chains.read(each)]
    for own in own_certificates(config, names, base):
        return msgspec.structs.replace(base, tls=base.tls._replace(chain=own.chain, key=own.key))
    return base


def credentials(config: Config) -> Credentials:
    """Who the station is, without a password. A file that cannot be read any more leaves its part empty."""
    csms = config.file.csms
    store = TrustStore(config.roots)
    fallback = store.fallback(CSMS_ROOT)
    trusted = {each.fingerprint for each in store.held() if each.use == CSMS_ROOT} - fallback
    pem = store.bundle(CSMS_ROOT, trusted) + roots.of_file(config, store)
    return Credentials(
        identity=config.file.station.identity,
        tls=TlsSettings(
            roots_pem=pem,
            system_roots=csms.system_roots,
            chain=config.locate(csms.certificate) if csms.certificate is not None else None,
            key=_key(config),
        ),
        user_name=csms.user_name,
        revocation=revocation(config),
        replaced=Replaced(store.bundle(CSMS_ROOT, fallback), store.register().places) if fallback else None,
    )


def revocation(config: Config) -> Revocation:
    """How it is found out whether a certificate was revoked: of a CSMS, a server of files, a signer of firmware."""
    csms = config.file.csms
    return Revocation(policy=csms.revocation, crls=tuple(map(config.locate, csms.crl_files)))


def _key(config: Config) -> TlsKey | None:
    """That of the certificate which the file names. A store that cannot tell now is asked again."""
    csms = config.file.csms
    if csms.key_file is not None:
        return TlsKey(config.locate(csms.key_file))
    if csms.key is None:
        return None
    try:
        return key_store(config).tls_key(csms.key)
    except (CertsError, OSError) as error:
        log.error("key.unavailable", extra={"key": csms.key, "reason": str(error)})  # noqa: TRY400 - no bug
        return None
