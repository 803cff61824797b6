"""Helpers of Home Assistant."""
