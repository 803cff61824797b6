"""What an add-on tells of itself."""

from ..._hassio import HassioServiceInfo

__all__ = ["HassioServiceInfo"]
