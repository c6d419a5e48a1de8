"""From what the station knows of its CSMSs to what the link dials: profiles, credentials, options."""

from __future__ import annotations

import logging

import msgspec

from certs.keystore import TlsKey
from certs.tls import TlsSettings
from certs.trust import TrustStore
from station.app import Station
from station.config import Config
from station.shell.backoff import BackoffSettings
from station.shell.link import LinkSetup
from station.shell.network import Credentials, LinkOptions, NetworkProfile

log = logging.getLogger(__name__)

ROOTS = "CSMSRootCertificate"
"""The use of certificates whose roots judge a CSMS."""


def link_setup(config: Config, station: Station) -> LinkSetup:
    """Where and how to connect, as the tables, the variables and the files say now."""
    csms = config.file.csms
    comm = station.variables.integer
    base = credentials(config)
    return LinkSetup(
        profiles=tuple(
            NetworkProfile(
                slot=profile.slot,
                url=profile.url,
                security_profile=profile.security_profile,
                subprotocols=tuple(f"ocpp{version}" for version in csms.versions),
                message_timeout_s=profile.message_timeout_s,
            )
            for profile in station.network.profiles()
        ),
        credentials=tuple(msgspec.structs.replace(base, password=each) for each in station.network.passwords()),
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


def credentials(config: Config) -> Credentials:
    """Who the station is, without a password. A file that cannot be read any more leaves its part empty."""
    csms = config.file.csms
    roots = TrustStore(config.state / "roots").bundle(ROOTS)
    if csms.ca_file is not None:
        try:
            roots += config.locate(csms.ca_file).read_text("ascii", "replace")
        except OSError:
            log.exception("config.unreadable", extra={"file": csms.ca_file})
    return Credentials(
        identity=config.file.station.identity,
        tls=TlsSettings(
            roots_pem=roots,
            system_roots=csms.system_roots,
            chain=config.locate(csms.certificate) if csms.certificate is not None else None,
            key=TlsKey(config.locate(csms.key_file)) if csms.key_file is not None else None,
        ),
        user_name=csms.user_name,
    )
