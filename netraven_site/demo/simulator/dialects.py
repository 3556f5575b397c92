"""The command lines of the simulated platforms.

Prompts, preparation commands and error texts are those that Netmiko's drivers and their
recorded sessions show; the greetings are made up.
"""

from __future__ import annotations

from collections.abc import Mapping

from netraven_site.demo.simulator.configs.layout import MAIN
from netraven_site.demo.simulator.dialect import Dialect, setting

_CISCO_COMMANDS = {
    "show running-config": MAIN,
    "show running-config all": MAIN,
    "show startup-config": "startup",
    "show version": "version",
}

_CISCO_SETTINGS = (
    setting(r"terminal width (\d+)"),
    setting(r"terminal length (\d+)", pages=True),
    setting(r"terminal (?:no )?monitor|(?:no )?terminal monitor"),
)

CISCO_IOS = Dialect(
    platform="cisco_ios",
    prompt="{host}>",
    privileged_prompt="{host}#",
    greeting="\nProperty of Site Ltd. Keep out.\n",
    unknown="{indent}^\n% Invalid input detected at '^' marker.\n\n",
    commands={**_CISCO_COMMANDS, "show running-config view full": MAIN},
    version=(
        "Cisco IOS Software, C2960X Software (C2960X-UNIVERSALK9-M), Version 15.2(7)E4\n"
        "{host} uptime is 3 weeks, {uptime} minutes\n"
        'System image file is "flash:/c2960x-universalk9-mz.152-7.E4.bin"\n'
        "cisco WS-C2960X-48TS-L (APM86XXX) processor (revision A0) with 524288K bytes of memory.\n"
        "Processor board ID FOC{serial}\n"
        "Model number                    : WS-C2960X-48TS-L\n"
    ),
    clock="%H:%M:%S UTC %a %b %d %Y",
    settings=_CISCO_SETTINGS,
    enable="enable",
    disable="disable",
    denied="% Bad secrets\n\n",
    privileged_only="{indent}^\n% Invalid input detected at '^' marker.\n\n",
)

CISCO_NXOS = Dialect(
    platform="cisco_nxos",
    prompt="\r{host}# ",
    privileged_prompt="\r{host}# ",
    greeting="\nCisco Nexus Operating System (NX-OS) Software\n",
    unknown="{indent}^\n% Invalid command at '^' marker.\n",
    commands=_CISCO_COMMANDS,
    version=(
        "Cisco Nexus Operating System (NX-OS) Software\n"
        "  NXOS: version 9.3(8)\n"
        "  cisco Nexus9000 C93180YC-EX chassis \n"
        "  Processor Board ID FDO{serial}\n"
        "  Device name: {host}\n"
        "Kernel uptime is 12 day(s), {uptime} minute(s), 3 second(s)\n"
    ),
    clock="%a %b %d %H:%M:%S %Y",
    settings=_CISCO_SETTINGS,
    echo_end="\r\n",
    pager_mark="--More--",
    pager_erase="\r        \r",
)

ARISTA_EOS = Dialect(
    platform="arista_eos",
    prompt="{host}>",
    privileged_prompt="{host}#",
    greeting="",
    unknown="% Invalid input\n",
    commands=_CISCO_COMMANDS,
    version=(
        "Arista DCS-7050SX3-48YC8\n"
        "Serial number:       SSJ{serial}\n"
        "Software image version: 4.29.2F\n"
        "Uptime:                 {uptime} minutes\n"
    ),
    clock="%a %b %d %H:%M:%S %Y",
    settings=(
        setting(r"terminal width (\d+)", "Width set to {0} columns.\n"),
        setting(r"terminal length (\d+)", "Pagination disabled.\n", pages=True),
    ),
    enable="enable",
    disable="disable",
    denied="% Access denied\n\n",
    privileged_only="% Invalid input (privileged mode required)\n",
)

JUNIPER_JUNOS = Dialect(
    platform="juniper_junos",
    prompt="\n{user}@{host}> ",
    privileged_prompt="\n{user}@{host}> ",
    greeting="--- JUNOS 21.4R3.15 Kernel 64-bit\n",
    unknown="{indent}^\nunknown command.\n",
    commands={"show configuration": MAIN, "show version": "version"},
    version=(
        "Hostname: {host}\nModel: ex3400-48t\nJunos: 21.4R3.15\n"
        "Chassis                                NW{serial}\n"
    ),
    clock="%Y-%m-%d %H:%M:%S UTC",
    settings=(
        setting(r"set cli screen-width (\d+)", "Screen width set to {0}\n"),
        setting(r"set cli screen-length (\d+)", "Screen length set to {0}\n", pages=True),
        setting(r"set cli complete-on-space off()", "Disabling complete-on-space\n"),
    ),
    echo_end=" \n",
    pager_mark="---(more)---",
    pager_erase="\r" + " " * 40 + "\r",
)

VYOS = Dialect(
    platform="vyos",
    prompt="{user}@{host}:~$ ",
    privileged_prompt="{user}@{host}:~$ ",
    greeting="Welcome to VyOS!\n",
    unknown="\n  Invalid command: [{word}]\n\n",
    commands={
        "show configuration commands": MAIN,
        "show configuration": "braces",
        "cat /config/config.boot": "braces",
        "show version": "version",
    },
    version=(
        "Version:          VyOS 1.4.0\nHardware S/N:     {serial}\nUptime:           {uptime}m\n"
    ),
    clock="%Y-%m-%d %H:%M:%S",
    settings=(
        setting(r"set terminal width (\d+)"),
        setting(r"set terminal length (\d+)", pages=True),
    ),
    exits=frozenset({"exit", "logout"}),
    pager_mark=":",
    pager_erase="\r \r",
)

FRR = Dialect(
    platform="frr",
    prompt="{host}# ",
    privileged_prompt="{host}# ",
    greeting="\nHello, this is FRRouting (version 8.5.4).\n\n",
    unknown="% Unknown command: {line}\n",
    commands={**_CISCO_COMMANDS, "write terminal": MAIN},
    version="FRRouting 8.5.4 ({host}) on Linux(6.1.0-18-amd64).\n",
    clock="%Y-%m-%d %H:%M:%S",
    settings=(setting(r"terminal length (\d+)", pages=True),),
    pager_mark="--More--",
    pager_erase="\r        \r",
)

LINUX = Dialect(
    platform="linux",
    prompt="{user}@{host}:~$ ",
    privileged_prompt="root@{host}:{home}# ",
    greeting="Debian GNU/Linux 12\n",
    unknown="-bash: {word}: command not found\n",
    commands={},
    version="",
    clock="%Y-%m-%d %H:%M:%S",
    enable="sudo -s",
    disable="exit",
    secret_prompt="[sudo] password for {user}: ",  # noqa: S106 - the question, not its answer
    denied="sudo: 3 incorrect password attempts\n",
    exits=frozenset({"exit", "logout"}),
    has_pager=False,
    abbreviations=False,
)

DIALECTS: Mapping[str, Dialect] = {
    dialect.platform: dialect
    for dialect in (CISCO_IOS, CISCO_NXOS, ARISTA_EOS, JUNIPER_JUNOS, VYOS, FRR, LINUX)
}
