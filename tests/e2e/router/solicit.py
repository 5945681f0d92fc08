"""A DHCPv6 Solicit (RFC 8415) from eth0 of a machine with this MAC; prints the address that is advertised."""
import ipaddress
import socket
import struct
import sys

TIMEOUT_SECONDS = 5
SOLICIT, ADVERTISE = 1, 2
CLIENT_ID, IA_NA, IAADDR, ELAPSED_TIME = 1, 3, 5, 8


def option(code, value):
    return struct.pack("!HH", code, len(value)) + value


def options(data):
    while data:
        code, length = struct.unpack("!HH", data[:4])
        yield code, data[4:4 + length]
        data = data[4 + length:]


mac = bytes.fromhex(sys.argv[1].replace(":", ""))
# DUID-LL: the link-layer address of an Ethernet card.
client_id = struct.pack("!HH", 3, 1) + mac
solicit = struct.pack("!B3s", SOLICIT, b"pxe") + option(CLIENT_ID, client_id)
solicit += option(IA_NA, struct.pack("!III", 1, 0, 0)) + option(ELAPSED_TIME, b"\0\0")
client = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
client.bind(("::", 546))
client.settimeout(TIMEOUT_SECONDS)
client.sendto(solicit, ("ff02::1:2", 547, 0, socket.if_nametoindex("eth0")))
answer = client.recv(1500)
assert answer[0] == ADVERTISE, answer
for code, value in options(answer[4:]):
    for inner, address in options(value[12:]) if code == IA_NA else ():
        if inner == IAADDR:
            print(ipaddress.IPv6Address(address[:16]))
