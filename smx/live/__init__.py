"""The live runtime: the only place that does I/O for the core. It carries effects out and says events, on asyncio."""
