"""What discovery tells, where it is since Home Assistant 2025.2."""

import os

if os.environ.get("LINTEL_OLD_HOME_ASSISTANT"):
    raise ImportError("this Home Assistant is one before 2025.2")
