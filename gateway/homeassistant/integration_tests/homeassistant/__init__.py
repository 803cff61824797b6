"""As much of Home Assistant as the integration calls, typed, and doing what it does.

Names, arguments and effects are those of Home Assistant 2025.1 to 2026.2. What is here
is what a flow needs to run from the first card to both entries, and no more.
"""
