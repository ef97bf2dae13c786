"""Runs programs in a network namespace of their own, and reports where they wanted to send.

To be started by `unshare -rn`. Everything that is sent goes to the loopback interface, which is the
only one, and is seen there: destinations within the machine and of DDS's discovery are left out.

Usage: alone.py JSON, a list of [command, text]; a program that prints the text is interrupted.
Prints a JSON object: `sent` is a list of destinations, `ended` one of [code, output] per program.
"""

from __future__ import annotations

import ipaddress
import json
import signal
import socket
import subprocess
import sys
import threading

_PATIENCE = 90.0  # seconds until a program that does not end is killed
_ALL_PROTOCOLS = 0x0003
_IPV4, _IPV6 = 0x0800, 0x86DD
_DDS = ipaddress.ip_address('239.255.0.1')


def run(command: list[str], text: str, ended: dict[int, tuple[int, str]], number: int) -> None:
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    )
    output = ''
    killer = threading.Timer(_PATIENCE, process.kill)
    killer.start()
    assert process.stdout is not None
    for line in process.stdout:
        output += line
        if text and text in line:
            text = ''
            process.send_signal(signal.SIGINT)
    ended[number] = process.wait(), output
    killer.cancel()


def destinations(seen: socket.socket) -> list[str]:
    """Return the addresses beyond this machine of all packets that were seen."""
    found = set()
    seen.setblocking(False)
    while True:
        try:
            packet, (_, protocol, *_) = seen.recvfrom(65535)
        except BlockingIOError:
            return sorted(found)
        if protocol == _IPV4:
            found |= _beyond(packet[16:20])
        elif protocol == _IPV6:
            found |= _beyond(packet[24:40])


def _beyond(raw: bytes) -> set[str]:
    address = ipaddress.ip_address(raw)
    within = (
        address.is_loopback or address == _DDS or (address.version == 6 and address.is_multicast)
    )
    return set() if within else {str(address)}


def main() -> None:
    for words in ('link set lo up', 'route add default dev lo'):
        subprocess.run(['ip', *words.split()], check=True)
    seen = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL_PROTOCOLS))
    seen.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**24)
    ended: dict[int, tuple[int, str]] = {}
    threads = [
        threading.Thread(target=run, args=(command, text, ended, number))
        for number, (command, text) in enumerate(json.loads(sys.argv[1]))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({'sent': destinations(seen), 'ended': [ended[i] for i in sorted(ended)]}))


if __name__ == '__main__':
    main()
