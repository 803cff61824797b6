"""Advertise one service with python-zeroconf until SIGTERM, which says goodbye, or
until SIGKILL, which does not. Arguments: instance, type, host, port, seconds that
the records hold, and any number of addresses and key=value texts."""

import signal
import socket
import sys

from zeroconf import IPVersion, ServiceInfo, Zeroconf

instance, kind, host, port, ttl, *rest = sys.argv[1:]
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # in all threads to come
zc = Zeroconf(ip_version=IPVersion.All)
info = ServiceInfo(
    kind + ".local.",
    f"{instance}.{kind}.local.",
    port=int(port),
    server=host + ".local.",
    addresses=[
        socket.inet_pton(socket.AF_INET6 if ":" in a else socket.AF_INET, a)
        for a in rest
        if "=" not in a
    ],
    properties=dict(t.split("=", 1) for t in rest if "=" in t),
    host_ttl=int(ttl),
    other_ttl=int(ttl),
)
zc.register_service(info)
print("registered", flush=True)
signal.sigwait([signal.SIGTERM])
zc.unregister_service(info)
zc.close()
