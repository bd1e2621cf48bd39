"""DEFEDB, the database of deferred and held recipients (SX12). The interface is data: Store, Fetch, Find, Census of smx.effects."""
