"""Panels over one state, each useful alone, and the Explorer that lays them out."""
