"""Tests against real processes under MCP: kill -9, full disks, hosts that are down, and counts of system calls."""
