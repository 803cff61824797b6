"""The Supervisor's integration, which has the class until Home Assistant 2025.2."""

from .._hassio import HassioServiceInfo

__all__ = ["HassioServiceInfo"]
