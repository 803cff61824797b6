"""What is heard by multicast DNS, wherever it is imported from."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from .data_entry_flow import BaseServiceInfo


@dataclass(slots=True)
class ZeroconfServiceInfo(BaseServiceInfo):
    """A service, resolved."""

    ip_address: IPv4Address | IPv6Address
    ip_addresses: list[IPv4Address | IPv6Address]
    port: int | None
    hostname: str
    type: str
    name: str
    properties: dict[str, Any]

    @property
    def host(self) -> str:
        """Return the address that was resolved first."""
        return str(self.ip_address)
