"""Names that several files of the Lintel integration use."""

from typing import Final

DOMAIN: Final = "lintel"
MQTT_DOMAIN: Final = "mqtt"

# What the entry keeps. The password is only in the entry of the MQTT integration.
CONF_HOST: Final = "host"  # of the pages of the box
CONF_PORT: Final = "port"
CONF_BROKER: Final = "broker"  # as the MQTT integration knows it
CONF_BROKER_PORT: Final = "broker_port"
CONF_USERNAME: Final = "username"

CONF_CODE: Final = "code"
CONF_PASSWORD: Final = "password"

DEFAULT_PORT: Final = 80
