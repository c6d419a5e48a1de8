# Outline of a recipe for Yocto (scarthgap, 5.0, or newer: Python 3.12). See README.md for what is to be filled in.
SUMMARY = "Charging-station agent that speaks OCPP 2.0.1"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57"

SRC_URI = "${OCPP_STATION_GIT}"
SRCREV = "${AUTOREV}"
S = "${WORKDIR}/git"

inherit python_setuptools_build_meta systemd useradd

RDEPENDS:${PN} += " \
    python3-asyncio python3-compression python3-core python3-crypt python3-ctypes python3-datetime python3-difflib \
    python3-email python3-fcntl python3-json python3-logging python3-math python3-multiprocessing python3-netclient \
    python3-netserver python3-numbers python3-resource python3-shell python3-sqlite3 python3-stringold python3-terminal \
    python3-threading python3-unixadmin \
    python3-cryptography python3-msgspec python3-pyserial python3-pyyaml python3-websockets \
    ca-certificates \
"
# What a station's buses need beside that; name those of yours in the image's recipe.
PACKAGECONFIG ??= "modbus can"
PACKAGECONFIG[modbus] = ",,,python3-pymodbus"
PACKAGECONFIG[can] = ",,,python3-can python3-cantools iproute2"
PACKAGECONFIG[gpio] = ",,,python3-gpiod"
PACKAGECONFIG[tpm] = ",,,python3-tpm2-pytss tpm2-openssl"
PACKAGECONFIG[pkcs11] = ",,,pkcs11-provider"
PACKAGECONFIG[sftp] = ",,,python3-asyncssh"

SYSTEMD_SERVICE:${PN} = "ocpp-station.service"
USERADD_PACKAGES = "${PN}"
USERADD_PARAM:${PN} = "--system --no-create-home --home-dir / --shell /sbin/nologin --user-group ocpp-station"

do_install:append() {
    install -D -m 0644 ${S}/systemd/ocpp-station.service ${D}${systemd_system_unitdir}/ocpp-station.service
    install -m 0644 ${S}/systemd/ocpp-station-clock.socket ${S}/systemd/ocpp-station-clock@.service ${D}${systemd_system_unitdir}
    install -m 0644 ${S}/systemd/ocpp-station-reboot.path ${S}/systemd/ocpp-station-reboot.service ${D}${systemd_system_unitdir}
    install -D -m 0755 ${S}/systemd/ocpp-station-launch ${D}${bindir}/ocpp-station-launch
    install -m 0755 ${S}/systemd/ocpp-station-clock ${D}${bindir}/ocpp-station-clock
    sed -i 's,/opt/ocpp-station/bin/,${bindir}/,' ${D}${systemd_system_unitdir}/ocpp-station*.service
    install -D -m 0644 ${S}/systemd/60-ocpp-station.rules ${D}${nonarch_base_libdir}/udev/rules.d/60-ocpp-station.rules
    install -d ${D}${datadir}/ocpp-station/drop-ins
    install -m 0644 ${S}/systemd/drop-ins/*.conf ${D}${datadir}/ocpp-station/drop-ins/
    install -D -m 0644 ${S}/systemd/station.yaml.example ${D}${datadir}/ocpp-station/station.yaml.example
}

FILES:${PN} += "${systemd_system_unitdir} ${nonarch_base_libdir}/udev ${datadir}/ocpp-station"
