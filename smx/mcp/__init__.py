"""MCP, the master control program: starts, restarts and stops the processes; never touches mail."""
