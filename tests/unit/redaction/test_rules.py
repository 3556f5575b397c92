"""The rules, one line each: what goes, what stays."""

from __future__ import annotations

import pytest

from backups.engine.redaction import CONSTANT_TOKEN, REDACTED_LINE, TOKEN, Redactor
from inventory.platforms import get_platform

REDACTOR = Redactor(b"a-key-for-the-tests-of-redaction")

#: Platform (empty for an unknown one), text with ``{}`` for each secret, the secrets.
SECRETS = [
    (
        "cisco_ios",
        "enable secret level 7 8 {}",
        ["$8$abCDefGHijkl12$mnOPqrSTuvWXyz0123456789ABCDEFGHIJKLMNOPQ"],
    ),
    ("cisco_ios", "enable password {}", ["two words"]),
    ("cisco_ios", "enable password {}", ["server"]),
    ("cisco_ios", "enable secret {}", ["default"]),
    ("cisco_ios", "username bob privilege 15 password {}", ["minotaur"]),
    ("cisco_ios", "username bob secret 0 {}", ["policy"]),
    ("cisco_ios", "username bob password {}", ["#@!%&*"]),
    ("cisco_ios", "snmp-server community {} RO", ["group"]),
    ("cisco_ios", "snmp-server community {} RO", ["text"]),
    ("cisco_ios", "snmp-server host 192.0.2.1 version 2c {}", ["162"]),
    ("cisco_ios", "snmp-server host 192.0.2.1 {}", ["162"]),
    ("cisco_ios", "tacacs-server key {}", ["secret"]),
    ("cisco_ios", "ip ospf authentication-key {}", ["12345678"]),
    ("cisco_ios", "ip ospf authentication-key 7 {}", ["0822455"]),
    ("cisco_ios", "line vty 0 4\n password {}", ["password"]),
    ("cisco_nxos", "rmon event 1 log trap {} description d owner o", ["larch-ro"]),
    ("cisco_xr", "router hsrp\n interface Gi0/0/0/0\n  hsrp 1\n   authentication {}", ["hazel8"]),
    ("cisco_xr", "snmp-server vrf M\n host 192.0.2.1 traps version 2c {}", ["larch-ro"]),
    ("cisco_asa", "aaa-server T (inside) host 192.0.2.1 {} timeout 10", ["elm-tree"]),
    ("cisco_asa", "logging ftp-server 192.0.2.1 /logs bob {}", ["elm-tree"]),
    ("cisco_wlc", "config snmp trapreceiver create {} 192.0.2.1", ["larch-ro"]),
    ("extreme_vsp", "snmp-server user bob md5 {} des {} read-view r", ["hazel8", "hazel9"]),
    ("extreme_exos", "create account user bob {}", ["hazel8"]),
    ("dlink_ds", "config account bob encrypt plain_text {}", ["config"]),
    ("huawei", "vlink-peer 192.0.2.9 md5 1 cipher {}", ["hazel8"]),
    ("hp_comware", "certificate request mode auto password cipher {}", ["hazel8"]),
    ("ubiquiti_edgeswitch", 'snmptrap "{}" 192.0.2.1', ["larch-ro"]),
    ("generic", "users snmpv3 encryption bob des {}", ["hazel8"]),
    ("generic", "create account admin bob\n{}\nconfig vlan default delete 1-28", ["elm tree"]),
    ("cisco_ios", "neighbor 192.0.2.1 password 7 {}", ["045802150C2E"]),
    ("cisco_ios", "radius-server host 192.0.2.1 auth-port 1812 key 0 {}", ["oak-tree"]),
    ("cisco_ios", "radius server R\n address ipv4 192.0.2.1\n key {}", ["three word key"]),
    (
        "cisco_ios",
        "aaa server radius dynamic-author\n client 192.0.2.1 server-key {}",
        ["elm-tree"],
    ),
    ("cisco_ios", "crypto isakmp key {} address 192.0.2.1 255.255.255.0", ["ash-tree"]),
    ("cisco_ios", "crypto keyring K\n  pre-shared-key address 192.0.2.1 key {}", ["fir-tree"]),
    ("cisco_ios", "crypto ikev2 keyring K\n peer P\n  pre-shared-key local 6 {}", ["QWe_RTy]UIop"]),
    (
        "cisco_ios",
        "snmp-server user u g v3 encrypted auth sha {} priv aes 256 {}",
        ["aa:bb:cc:dd:ee", "11:22:33:44"],
    ),
    (
        "cisco_ios",
        "snmp-server host 192.0.2.1 vrf M informs version 2c {}  udp-port 1162",
        ["larch-ro"],
    ),
    ("cisco_ios", "snmp-server host 192.0.2.1 {}", ["larch-ro"]),
    ("cisco_ios", "interface Vlan2\n standby 2 authentication {}", ["hazel8"]),
    ("cisco_ios", "interface Vlan2\n vrrp 2 authentication text {}", ["hazel8"]),
    ("cisco_ios", "area 1 virtual-link 192.0.2.9 message-digest-key 1 md5 {}", ["hazel88"]),
    (
        "cisco_ios",
        "area 1 encryption ipsec spi 600 esp aes-cbc 128 {} sha1 {}",
        ["a" * 32, "b" * 40],
    ),
    (
        "cisco_ios",
        "set session-key outbound esp 256 cipher {} authenticator {}",
        ["c" * 32, "d" * 40],
    ),
    ("cisco_ios", "router isis\n isis password {} level-1", ["plane-tree"]),
    ("cisco_ios", " path ftp://bak:{}@192.0.2.1/x", ["p@ss/9"]),
    ("cisco_ios", 'action 3.0 cli command "username x privilege 15 secret 0 {}"', ["lime-tree9"]),
    ("cisco_ios", "security wpa psk set-key ascii 0 {}", ["five word wifi key here"]),
    ("cisco_nxos", "    password 3 {}", ["9d2f61c07ab34e58"]),
    ("cisco_nxos", "key-octet-string 7 {} cryptographic-algorithm AES_256_CMAC", ["ab" * 20]),
    ("arista_eos", "mac security\n   profile P\n      key 0a1b 7 {}", ["0508571C22431F"]),
    ("juniper_junos", 'set system ntp authentication-key 1 type md5 value "{}"', ["$9$abcdefgh"]),
    (
        "juniper_junos",
        'set security ike policy P pre-shared-key ascii-text "{}"',
        ["$9$qwertyuiop"],
    ),
    ("juniper_junos", "<snmp>\n  <community>\n    <name>{}</name>", ["badger-ro"]),
    ("vyos", "set service snmp community {} client 192.0.2.1", ["badger-ro"]),
    ("linux", "rocommunity {} 192.0.2.0/24", ["badger-ro"]),
    ("linux", '    : PSK "{}"', ["badger set"]),
    ("linux", 'network\n\tpsk="{}"', ["badger hole"]),
    ("", "set password ENC {}", ["c2FsdGVkLXZhbHVlLW9uZS10d28="]),
    ("", 'config system snmp community\n    edit 1\n        set name "{}"', ["badger-ro"]),
    ("", "/snmp community\nadd addresses=192.0.2.0/24 name={}", ["badger-ro"]),
    ("", "snmp-agent community read cipher {}", ["%^%#abcDEF'\"123456789|xyz%^%#"]),
    ("", "key accounting simple {}", ["badger37"]),
    ("", '"password": "{}",', ['badger\\"37']),
    ("", "<snmp-community-string>{}</snmp-community-string>", ["badger-ro"]),
    (
        "",
        "add authentication tacacsAction T -serverIP 192.0.2.1 -tacacsSecret {} -authTimeout 3",
        ["badger37"],
    ),
    ("", "config mgmtuser add admin {} read-write", ["badger37"]),
    ("", 'authentication-key "{} hash2"', ["bAdGeR37=="]),
    ("", "exec exporter --user x --password {} --listen :1", ["badger37"]),
]

#: Platform and a text in which nothing is a secret.
INNOCENT = [
    ("cisco_ios", "service password-encryption"),
    ("cisco_ios", "security passwords min-length 8"),
    ("cisco_ios", "aaa authentication login default group tacacs+ local"),
    ("cisco_ios", "aaa authentication password-prompt Password:"),
    ("cisco_ios", "username guest nopassword"),
    ("cisco_ios", "no ip http secret"),
    ("cisco_ios", "key chain OSPF\n key 1\n key 2147483647"),
    ("cisco_ios", "key config-key password-encrypt"),
    ("cisco_ios", "interface Tunnel0\n tunnel key 4711"),
    ("cisco_ios", " authentication key-chain EIGRP-KEYS\n authentication mode md5"),
    ("cisco_ios", " mka pre-shared-key key-chain MKA"),
    ("cisco_ios", "ntp server 192.0.2.1 key 5 prefer"),
    ("cisco_ios", "snmp-server group G v3 priv read V access 5"),
    ("cisco_ios", "snmp-server host 192.0.2.1 version 3 priv netmon"),
    ("cisco_ios", "snmp-server host 192.0.2.1 use-vrf management"),
    (
        "cisco_ios",
        "ip community-list standard SECRET permit 65000:1\nset community 65000:2 additive",
    ),
    ("cisco_ios", " description the password is in the vault"),
    ("cisco_ios", "banner motd #\nYour password is your own.\n#"),
    ("cisco_ios", "crypto key pubkey-chain rsa\n  key-string\n   30820122 300D0609\n   quit"),
    ("cisco_nxos", "username u passphrase  lifetime 99999 warntime 14 gracetime 3"),
    ("cisco_nxos", "password strength-check"),
    ("cisco_nxos", "rmon event 1 log trap public description FATAL(1) owner PMON@FATAL"),
    ("cisco_nxos", "mpls ldp configuration\n  password required"),
    ("cisco_ios", "no snmp-server community public"),
    ("cisco_ios", "password logging"),
    ("cisco_ios", "neighbor 192.0.2.1 password shared-secret profile P algorithm hmac-sha1-96"),
    ("cisco_ios", "snmp-server host 192.0.2.1 version 3 priv bob"),
    ("ruckus_fastiron", "snmp-server community ..... ro"),
    ("extreme_vsp", "password access-level rwa"),
    ("extreme_ers", "cli password serial radius"),
    ("hp_procurve", "password manager"),
    ("huawei", "undo password-control change-password first-login enable"),
    (
        "arista_eos",
        "hardware tcam\n   profile P\n      feature acl port ip\n         key size limit 160",
    ),
    ("arista_eos", "ip security\n   key controller"),
    ("juniper_junos", "set system login password minimum-length 10"),
    ("juniper_junos", "set system login class N permissions [ view secret secret-control ]"),
    ("juniper_junos", "set policy-options community SECRET members 65000:0"),
    ("juniper_junos", "set system services ssh root-login deny-password"),
    ("juniper_junos", "/* enable secret rotated last week */"),
    ("vyos", "set interfaces openvpn vtun1 tls certificate 'server'"),
    ("vyos", "set protocols rpki cache 192.0.2.1 ssh private-key-file '/config/id_rsa'"),
    ("linux", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKq1 mara@lab"),
    ("linux", "daemon:*:18000:0:99999:7:::"),
    ("", "set save-password enable\nset passwd-time 2024-03-01 10:11:12"),
    ("", "auth password-policy { }"),
    ("", "password minimum-length 8"),
    ("", "snmp-agent community complexity-check disable"),
    ("", "ikev1 pre-shared-key *****"),
    ("", "-----BEGIN CERTIFICATE-----\nMIIDXTCCAkWgAwIBAgIJAKoK\n-----END CERTIFICATE-----"),
]


def redact(platform: str, text: str) -> str:
    return REDACTOR.redact(get_platform(platform) if platform else None, text).text


@pytest.mark.parametrize(("platform", "form", "secrets"), SECRETS)
def test_only_the_secrets_are_replaced(platform: str, form: str, secrets: list[str]) -> None:
    pieces = form.split("{}")
    text = pieces[0] + "".join(s + p for s, p in zip(secrets, pieces[1:], strict=True))
    result = redact(platform, text)
    around = TOKEN.split(result)
    assert around == pieces
    assert redact(platform, result) == result


@pytest.mark.parametrize(("platform", "text"), INNOCENT)
def test_what_holds_no_secret_stays(platform: str, text: str) -> None:
    assert redact(platform, text) == text


@pytest.mark.parametrize(("platform", "text"), INNOCENT)
def test_what_holds_no_secret_stays_when_the_platform_is_unknown(platform: str, text: str) -> None:
    assert redact("", text) == text


@pytest.mark.parametrize(
    "form",
    [
        "password $M$4d$QkVzT2xhY2VrZXls==",
        'passphrase "$M$4d$QkVzT2xhY2VrZXls=="',
        "tacacs-server key 7 $0$QkVzT2xhY2VrZXls==",
        "add lb monitor m -secretKey QkVzT2xhY2VrZXls -encrypted -encryptmethod ENCMTHD_3",
        "add authentication ldapAction l -ldapBindDnPassword QkVz -encrypted -encryptmethod ENC",
    ],
)
def test_salted_values_get_the_constant_token(form: str) -> None:
    assert TOKEN.findall(redact("", form)) == [CONSTANT_TOKEN]


def test_salted_and_short_secrets_get_the_constant_token() -> None:
    assert redact("", "set psksecret ENC abcdefghijklmnop").endswith(f"ENC {CONSTANT_TOKEN}")
    assert redact("cisco_ios", "enable password abc") == f"enable password {CONSTANT_TOKEN}"


def test_second_pass_takes_out_a_line_with_an_unknown_value() -> None:
    assert redact("cisco_ios", "  vendor-password-blob a8Fk39xQ77") == f"  {REDACTED_LINE}"
    assert redact("cisco_ios", "the password\r\n") == "the password\r\n"


def test_words_in_quotes_are_known_when_all_of_them_are() -> None:
    assert redact("", "JWT_SECRETS='the Xy12!abc9'") == REDACTED_LINE
    assert redact("", "JWT_SECRETS='the password'") == "JWT_SECRETS='the password'"


def test_own_keywords_are_looked_for() -> None:
    redactor = Redactor(b"k", keywords=("magic",))
    assert (
        redactor.redact(None, "open magic wand77\nno magic\n").text
        == f"{REDACTED_LINE}\nno magic\n"
    )


def test_key_blocks_keep_their_lines() -> None:
    text = "x\n-----BEGIN PRIVATE KEY-----\nQUJD\nREVG\n-----END PRIVATE KEY-----\ny\n"
    lines = redact("linux", text).split("\n")
    assert [lines[0], lines[1], lines[4], lines[5]] == [
        "x",
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
        "y",
    ]
    assert TOKEN.fullmatch(lines[2])
    assert TOKEN.fullmatch(lines[3])


def test_headers_of_a_key_stay_in_a_string_of_json() -> None:
    header = r"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: DES-EDE3-CBC,00FF"
    text = header + r"\n\nQUJDREVGR0hJSktMTU5P\n-----END RSA PRIVATE KEY-----"
    result = redact("", f'"privateKey": "{text}",\n')
    assert header in result
    assert "QUJDREVG" not in result


def test_key_block_without_an_end_is_still_taken_out() -> None:
    key = "QUJDREVGR0hJSktMTU5P\nUVJTVFVWV1hZWjAxMjM0"
    text = f"-----BEGIN RSA PRIVATE KEY-----\n{key}\n!\nhostname a\n"
    result = redact("cisco_ios", text)
    assert "QUJDREVG" not in result
    assert result.endswith("!\nhostname a\n")


def test_community_may_be_a_number_but_not_the_port_of_traps() -> None:
    assert "12345" not in redact("", "snmp-server host 192.0.2.1 v2c 12345")
    assert redact("", "snmp-server host 192.0.2.1 v2c 162").endswith("v2c 162")
    assert "12345" not in redact("", "snmp community read-only 12345")


def test_a_word_that_begins_inside_a_secret_hides_none_behind_it() -> None:
    assert "tern" not in redact("", "password private key tern-nest-4")


def test_a_line_that_was_taken_out_ends_the_lines_below() -> None:
    text = f"create account admin bob\n{REDACTED_LINE}\nvlan 1"
    assert redact("dlink_ds", text) == text


def test_value_on_the_next_line() -> None:
    text = 'add name=x wpa2-pre-shared-key=\\\n    "stoat burrow"\n'
    assert "stoat" not in redact("", text)
