"""What an add-on tells of itself, wherever it is imported from."""

from dataclasses import dataclass
from typing import Any

from .data_entry_flow import BaseServiceInfo


@dataclass(slots=True)
class HassioServiceInfo(BaseServiceInfo):
    """A service of an add-on."""

    config: dict[str, Any]
    name: str
    slug: str
    uuid: str
