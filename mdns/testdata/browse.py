"""Browse as Home Assistant does, with python-zeroconf, for the service types named
on the command line. After each change a line of JSON says everything that is there:
{"instance.type": "host:port and, sorted, addresses and texts"}."""

import json
import sys
import threading

from zeroconf import IPVersion, ServiceBrowser, ServiceInfo, Zeroconf

zc = Zeroconf(ip_version=IPVersion.All)
lock = threading.Lock()
present = {}  # name -> type
shown = None


def describe(kind, name):
    info = ServiceInfo(kind, name)
    info.load_from_cache(zc)
    if not info.server or not info.addresses_by_version(IPVersion.All):
        threading.Thread(target=info.request, args=(zc, 1000), daemon=True).start()
        return None
    words = info.parsed_scoped_addresses()
    for key, value in info.properties.items():
        if key:
            words.append(key.decode() + "=" + (value or b"").decode())
    return f"{info.server.rstrip('.')}:{info.port} {' '.join(sorted(words))}"


def show():
    global shown
    with lock:
        state = {}
        for name, kind in present.items():
            description = describe(kind, name)
            if description:
                state[name.removesuffix(".local.")] = description
        line = json.dumps(state, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        if line != shown:
            shown = line
            print(line, flush=True)


def changed(zeroconf, service_type, name, state_change):
    with lock:
        if state_change.name == "Removed":
            present.pop(name, None)
        else:
            present[name] = service_type
    show()


browser = ServiceBrowser(zc, [t + ".local." for t in sys.argv[1:]], handlers=[changed])
while True:  # addresses run out without a callback
    show()
    threading.Event().wait(0.2)
