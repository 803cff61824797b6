"""Devices."""

from dataclasses import dataclass, field

from ..core import HomeAssistant


@dataclass
class DeviceEntry:
    """A device, which several entries may have."""

    identifiers: set[tuple[str, str]]
    config_entries: set[str] = field(default_factory=set)
    configuration_url: str | None = None
    manufacturer: str | None = None
    name: str | None = None


class DeviceRegistry:
    """All devices."""

    def __init__(self) -> None:
        """Have none."""
        self.devices: list[DeviceEntry] = []

    # pylint: disable-next=too-many-arguments
    def async_get_or_create(
        self,
        *,
        config_entry_id: str,
        identifiers: set[tuple[str, str]],
        configuration_url: str | None = None,
        default_manufacturer: str | None = None,
        default_name: str | None = None,
    ) -> DeviceEntry:
        """Find a device by one of its identifiers, or make it; say more about it."""
        for device in self.devices:
            if device.identifiers & identifiers:
                break
        else:
            device = DeviceEntry(identifiers)
            self.devices.append(device)
        device.config_entries.add(config_entry_id)
        device.configuration_url = configuration_url or device.configuration_url
        device.manufacturer = device.manufacturer or default_manufacturer
        device.name = device.name or default_name
        return device


def async_get(hass: HomeAssistant) -> DeviceRegistry:
    """Return the registry."""
    registry: DeviceRegistry = hass.data.setdefault("devices", DeviceRegistry())
    return registry
