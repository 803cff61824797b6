"""The root of Home Assistant's errors."""


class HomeAssistantError(Exception):
    """Something is wrong that Home Assistant has a word for."""
