"""Integrations that come with Home Assistant."""
