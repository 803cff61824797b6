"""What is heard by multicast DNS."""

from ..._zeroconf import ZeroconfServiceInfo

__all__ = ["ZeroconfServiceInfo"]
