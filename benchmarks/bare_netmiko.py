"""The yardstick: Netmiko in a thread pool, each configuration into a file, nothing else.

Reads ``{"threads", "directory", "username", "password", "devices": [[hostname, address, port]]}``
as JSON from standard input, prints ``{"wall_seconds", "cpu_seconds", "complete"}``.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from netmiko import ConnectHandler


def main() -> None:
    job = json.load(sys.stdin)
    directory = Path(job["directory"])

    def back_up(device: list[Any]) -> bool:
        hostname, address, port = device
        with ConnectHandler(
            device_type="cisco_ios",
            host=address,
            port=port,
            username=job["username"],
            password=job["password"],
        ) as session:
            text = str(session.send_command("show running-config"))
        (directory / f"{hostname}.cfg").write_text(text, encoding="utf-8")
        return text.rstrip().endswith("end")

    begin, begin_cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(job["threads"]) as pool:
        complete = sum(pool.map(back_up, job["devices"]))
    print(
        json.dumps(
            {
                "wall_seconds": time.perf_counter() - begin,
                "cpu_seconds": time.process_time() - begin_cpu,
                "complete": complete,
            }
        )
    )


if __name__ == "__main__":
    main()
