"""What other programs call the platforms.

Sources: docs/Supported-OS-Types.md of Oxidized (model names), etc/rancid.types.base of RANCID 3 and
router.db(5) (device types). NetBox leaves slugs to its users; those of its community device types
and of NAPALM's drivers are known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from inventory.formats.records import quoted

#: As a platform it says that devices of this kind are left out.
LEFT_OUT: Final = "skip"

OXIDIZED_MODELS: Final[Mapping[str, str]] = {
    "acos": "a10",
    "adtran": "adtran_os",
    "adva": "adva_fsp150f3",
    "aireos": "cisco_wlc",
    "aos": "alcatel_aos",
    "aos7": "alcatel_aos",
    "aoscx": "aruba_aoscx",
    "aosw": "aruba_os",
    "apc_aos": "apc_aos",
    "asa": "cisco_asa",
    "asternos": "asterfusion_asternos",
    "audiocodes": "audiocode_72",
    "awplus": "allied_telesis_awplus",
    "boss": "extreme_ers",
    "c4cmts": "arris_cer",
    "casa": "casa_cmts",
    "ciscosmb": "cisco_s300",
    "comware": "hp_comware",
    "corianttmos": "coriant",
    "cumulus": "cumulus_linux",
    "datacom": "datacom_dmos",
    "dlink": "dlink_ds",
    "dnos": "dell_force10",
    "edgeos": "ubiquiti_edgerouter",
    "edgeswitch": "ubiquiti_edgeswitch",
    "efos": "broadcom_icos",
    "eltex": "eltex",
    "enterasys": "enterasys",
    "eos": "arista_eos",
    "fabricos": "brocade_fos",
    "fastiron": "ruckus_fastiron",
    "firelinuxos": "cisco_ftd",
    "firewareos": "watchguard_fireware",
    "fortios": "fortinet",
    "frr": "frr",
    "fsos": "fiberstore_fsos",
    "ftos": "dell_force10",
    "gaiaos": "checkpoint_gaia",
    "h3c": "hp_comware",
    "hios": "hirschmann_hios",
    "ios": "cisco_ios",
    "iosxe": "cisco_xe",
    "iosxr": "cisco_xr",
    "ipos": "ericsson_ipos",
    "ironware": "extreme_netiron",
    "isam": "nokia_isam",
    "junos": "juniper_junos",
    "linuxgeneric": "linux",
    "masteros": "mrv_optiswitch",
    "ml66": "ericsson_mltn66",
    "mlnxos": "mellanox_mlnxos",
    "mtrlrfs": "extreme_wing",
    "necix": "nec_ix",
    "netgear": "netgear_prosafe",
    "netscaler": "netscaler",
    "nodegrid": "zpe_nodegrid",
    "nos": "extreme_nos",
    "nxos": "cisco_nxos",
    "ocnos": "ipinfusion_ocnos",
    "oneos": "oneaccess_oneos",
    "opengear": "opengear_linux",
    "opnsense": "opnsense",
    "os10": "dell_os10",
    "os6": "dell_os6",
    "panos": "paloalto_panos",
    "pfsense": "pfsense",
    "powerconnect": "dell_powerconnect",
    "procurve": "hp_procurve",
    "quantaos": "quanta_mesh",
    "raisecom": "raisecom_ros",
    "rgos": "ruijie_os",
    "routeros": "mikrotik_routeros",
    "saos": "ciena_saos",
    "saos10": "ciena_saos10",
    "screenos": "juniper_screenos",
    "sixwind": "sixwind_os",
    "slxos": "extreme_slx",
    "smartax": "huawei_smartax",
    "sonicos": "sonicwall_sonicos",
    "sros": "nokia_sros",
    "stoneos": "hillstone_stoneos",
    "telco": "telcosystems_binos",
    "tmos": "f5_tmsh",
    "tnsr": "netgate_tnsr",
    "tplink": "tplink_jetstream",
    "viptela": "cisco_viptela",
    "voss": "extreme_vsp",
    "vrp": "huawei",
    "vyatta": "vyos",
    "vyos": "vyos",
    "xos": "extreme_exos",
    "yamaha": "yamaha",
    "zteolt": "zte_zxros",
    "zynos": "zyxel_os",
}

RANCID_TYPES: Final[Mapping[str, str]] = {
    "a10": "a10",
    "arista": "arista_eos",
    "bigip": "f5_tmsh",
    "bigip13": "f5_tmsh",
    "ciena-ws": "ciena_waveserver",
    "cisco": "cisco_ios",
    "cisco-exr": "cisco_xr",
    "cisco-ncs": "cisco_xe",
    "cisco-nx": "cisco_nxos",
    "cisco-sb": "cisco_s300",
    "cisco-wlc4": "cisco_wlc",
    "cisco-wlc5": "cisco_wlc",
    "cisco-wlc8": "cisco_wlc",
    "cisco-xr": "cisco_xr",
    "cisco-xr7": "cisco_xr",
    "dnos9": "dell_force10",
    "dnos10": "dell_os10",
    "edgemax": "ubiquiti_edgeswitch",
    "edgerouter": "ubiquiti_edgerouter",
    "extreme": "extreme_exos",
    "force10": "dell_force10",
    "fortigate": "fortinet",
    "fortigate-full": "fortinet",
    "foundry": "ruckus_fastiron",
    "frr": "frr",
    "fxos": "cisco_ftd",
    "hp": "hp_procurve",
    "ios": "cisco_ios",
    "ios-exr": "cisco_xr",
    "ios-nx": "cisco_nxos",
    "ios-sb": "cisco_s300",
    "ios-xr": "cisco_xr",
    "ios-xr7": "cisco_xr",
    "juniper": "juniper_junos",
    "juniper-srx": "juniper_junos",
    "junos": "juniper_junos",
    "junos-evo": "juniper_junos",
    "mikrotik": "mikrotik_routeros",
    "mikrotik-terse": "mikrotik_routeros",
    "mikrotik-verbose": "mikrotik_routeros",
    "mrv": "mrv_optiswitch",
    "netscaler": "netscaler",
    "netscreen": "juniper_screenos",
    "paloalto": "paloalto_panos",
    "paloaltoxml": "paloalto_panos",
    "redback": "ericsson_ipos",
    "riverbed": "riverbed",
    "routeros": "mikrotik_routeros",
    "routeros-terse": "mikrotik_routeros",
    "routeros-verbose": "mikrotik_routeros",
    "smc": "dell_powerconnect",
    "sros": "nokia_sros",
    "sros-md": "nokia_sros",
    "vrp": "huawei",
    "zebra": "frr",
}

#: Beside slugs that are ours with hyphens: ``cisco-ios``.
NETBOX_SLUGS: Final[Mapping[str, str]] = {
    **OXIDIZED_MODELS,
    "arubaos": "aruba_os",
    "arubaos-cx": "aruba_aoscx",
    "cisco-asa-os": "cisco_asa",
    "cisco-ios-xe": "cisco_xe",
    "cisco-ios-xr": "cisco_xr",
    "cisco-nx-os": "cisco_nxos",
    "cumulus": "cumulus_linux",
    "edge-os": "ubiquiti_edgerouter",
    "exos": "extreme_exos",
    "fortinet-fortios": "fortinet",
    "ios-xe": "cisco_xe",
    "ios-xr": "cisco_xr",
    "juniper-junos": "juniper_junos",
    "nx-os": "cisco_nxos",
    "nxos-ssh": "cisco_nxos",
    "pan-os": "paloalto_panos",
    "sr-os": "nokia_sros",
}


class UnknownPlatformName(LookupError):
    """No platform is known by that name; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignPlatforms:
    """Finds the platform behind a name of another program."""

    #: What the other program calls such a name.
    noun: str
    known: Mapping[str, str]
    #: Names of our platforms, which are understood as well.
    ours: frozenset[str]
    #: What the one who imports says: by foreign name ours, or ``skip``.
    told: Mapping[str, str] = field(default_factory=dict)

    def platform(self, name: str) -> str:
        """Our name, or ``skip``. Raises UnknownPlatformName."""
        if name in self.told:
            return self.told[name]
        key = name.strip().lower()
        own = key.replace("-", "_")
        if own in self.ours:
            return own
        if key not in self.known:
            raise UnknownPlatformName(
                f"the {self.noun} {quoted(name)} is none that NetRaven knows; say with "
                f"--platform {quoted(name)}=PLATFORM what it is, or with ={LEFT_OUT} leave it out"
            )
        return self.known[key]
